-- What a request asked for besides its model: the parameters that decide about its price, as the API's body has
-- them without any words of the client; so that it can be priced again elsewhere. Absent for older requests.
ALTER TABLE requests ADD COLUMN asked_json TEXT;
-- The prompt, only where the settings say that prompts are stored.
ALTER TABLE requests ADD COLUMN prompt TEXT;
