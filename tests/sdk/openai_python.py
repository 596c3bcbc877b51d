"""The official OpenAI Python SDK, unchanged, against the gateway in front of the stand-ins.

    python openai_python.py GROUP

GROUP is one of `surface`, `errors`, `rate_limited`, `upstream_failed`, `no_second_payment`; each wants a
gateway of its own, because faults leave breakers open. Reads GALLERIST_BASE_URL, GALLERIST_API_KEY,
GALLERIST_ADMIN_KEY and GALLERIST_FAKES (a JSON object of kind and origin). Prints `ok CASE` or
`FAIL CASE: reason` for each case and exits 1 when one failed. `cargo xtask test` runs it.
"""

import base64
import io
import json
import os
import sys
import urllib.request
from decimal import Decimal

import openai
from PIL import Image

BASE_URL = os.environ["GALLERIST_BASE_URL"]
API_KEY = os.environ["GALLERIST_API_KEY"]
FAKES = json.loads(os.environ["GALLERIST_FAKES"])

failures = 0


def client(**options):
    return openai.OpenAI(**{"base_url": BASE_URL, "api_key": API_KEY, "max_retries": 0, "timeout": 120} | options)


def counting_client():
    """A client with the SDK's own retries, and the list of requests that it sends."""
    sent = []
    transport = openai.DefaultHttpxClient(event_hooks={"request": [sent.append]})
    return openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, timeout=120, http_client=transport), sent


def fake(kind, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{FAKES[kind]}/_fake/{path}", data=data, method=method)
    request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def fault_everywhere(name):
    for kind in FAKES:
        fake(kind, "PUT", "faults", [{"fault": name, "probability": 1.0}])


def bills():
    """Entries of each stand-in's own bill."""
    return {kind: len(fake(kind, "GET", "bill")["entries"]) for kind in FAKES}


def picture(encoded):
    opened = Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)))
    opened.load()
    return opened


def check(condition, complaint):
    if not condition:
        raise AssertionError(complaint)


def raises(kind, call, status=None, code=None, param=None):
    """The error that `call` raises, which must be exactly of the SDK's class `kind`."""
    try:
        call()
    except openai.APIError as error:
        check(type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}")
        for name, wanted in (("status_code", status), ("code", code), ("param", param)):
            if wanted is not None:
                actual = getattr(error, name, None)
                check(actual == wanted, f"{name} is {actual!r}, not {wanted!r}: {error}")
        check(error.message, "the error has no message")
        return error
    raise AssertionError(f"no {kind.__name__}")


def case(name, run):
    global failures
    try:
        run()
        print(f"ok {name}", flush=True)
    except Exception as error:  # Every case is run; the reason is the report.
        failures += 1
        reason = " ".join(str(error).split())[:400]
        print(f"FAIL {name}: {type(error).__name__}: {reason}", flush=True)


def models():
    return [model.id for model in client().models.list()]


def streaming_model():
    named = [model for model in models() if model.startswith("gpt-image-2")]
    check(named, "no gpt-image-2 model is listed")
    return named[0]


def surface():
    generate = client().images.generate

    def one_picture():
        answer = generate(model="auto", prompt="a red kite over a hill", size="1024x1024")
        check(len(answer.data) == 1, f"{len(answer.data)} pictures")
        check(picture(answer.data[0].b64_json).size == (1024, 1024), "another size")
        check(answer.created > 0, "no time of creation")
        cost = answer.gallerist["cost"]
        check(Decimal(cost["charged_usd"]) > 0 and cost["lines"], f"no cost: {cost}")

    def four_distinct():
        answer = generate(model="auto", prompt="four kites", n=4, size="1024x1024")
        check(len(answer.data) == 4, f"{len(answer.data)} pictures")
        check(len({item.b64_json for item in answer.data}) == 4, "two pictures are the same")
        check(all(picture(item.b64_json).size == (1024, 1024) for item in answer.data), "another size")

    def of_size(size):
        answer = generate(model="auto", prompt="a kite of a certain size", size=size)
        width, height = picture(answer.data[0].b64_json).size
        check(f"{width}x{height}" == size, f"{width}x{height} instead of {size}")

    def of_format(output_format):
        answer = generate(model=streaming_model(), prompt="a kite", output_format=output_format)
        actual = picture(answer.data[0].b64_json).format.lower()
        check(actual == output_format, f"{actual} instead of {output_format}")

    def by_address():
        answer = generate(model="auto", prompt="a kite to be fetched", response_format="url", size="1024x1024")
        with urllib.request.urlopen(answer.data[0].url, timeout=30) as fetched:
            opened = Image.open(io.BytesIO(fetched.read()))
        check(opened.size == (1024, 1024), f"{opened.size}")

    def streamed():
        events = list(
            generate(model=streaming_model(), prompt="a kite, streamed", stream=True, partial_images=2, size="1024x1024")
        )
        kinds = [event.type for event in events]
        check(kinds[-1] == "image_generation.completed", f"{kinds}")
        check(kinds.count("image_generation.completed") == 1, f"{kinds}")
        partials = [event for event in events if event.type == "image_generation.partial_image"]
        check(partials, "no partial images")
        check([event.partial_image_index for event in partials] == list(range(len(partials))), "wrong indexes")
        check(all(picture(event.b64_json).size == (1024, 1024) for event in events), "another size")

    def streamed_elsewhere():
        others = [model for model in models() if not model.startswith("gpt-image") and "/" not in model and model != "auto"]
        check(others, "only OpenAI's models are listed")
        events = list(generate(model=others[0], prompt="a kite, not streamed by its maker", stream=True))
        check([event.type for event in events] == ["image_generation.completed"], f"{events}"[:200])
        picture(events[0].b64_json)

    def listed():
        names = models()
        check("auto" in names, f"no auto in {names}")
        check(len(names) >= 8, f"only {len(names)} models")
        check(client().models.retrieve("auto").id == "auto", "auto cannot be retrieved")

    def with_raw_headers():
        raw = client().images.with_raw_response.generate(model="auto", prompt="a kite with headers")
        for name in ("request-id", "provider", "model", "cost-usd", "cost-basis", "attempts"):
            check(raw.headers.get(f"x-gallerist-{name}"), f"no header x-gallerist-{name}")
        check(raw.headers.get("x-request-id"), "no header x-request-id")
        raw.parse()

    def repeated_by_key():
        headers = {"Idempotency-Key": "python-1"}
        first = generate(model="auto", prompt="once", extra_headers=headers)
        before = bills()
        again = generate(model="auto", prompt="once", extra_headers=headers)
        check(first.data[0].b64_json == again.data[0].b64_json, "another picture")
        check(bills() == before, "it was bought again")
        other = lambda: generate(model="auto", prompt="something else", extra_headers=headers)
        raises(openai.UnprocessableEntityError, other, 422)

    case("one picture", one_picture)
    case("n=4, all different", four_distinct)
    for size in ("1024x1024", "1536x1024", "1024x1536"):
        case(f"size {size}", lambda size=size: of_size(size))
    for output_format in ("png", "jpeg", "webp"):
        case(f"format {output_format}", lambda output_format=output_format: of_format(output_format))
    case("response_format url", by_address)
    case("stream with partial images", streamed)
    case("stream of a model that does not stream", streamed_elsewhere)
    case("models", listed)
    case("headers", with_raw_headers)
    case("Idempotency-Key", repeated_by_key)


def errors():
    generate = client().images.generate
    extension = lambda **fields: {"gallerist": fields}
    before = bills()

    for name, fields, param in (
        ("size", {"size": "12x"}, "size"),
        ("n", {"n": 100_000}, "n"),
        ("empty prompt", {"prompt": ""}, "prompt"),
        ("unknown field", {"extra_body": {"sise": "1024x1024"}}, "sise"),
    ):
        request = {"model": "auto", "prompt": "a kite"} | fields
        call = lambda request=request: generate(**request)
        case(f"400 {name}", lambda call=call, param=param: raises(openai.BadRequestError, call, 400, param=param))

    stranger = client(api_key="sk-of-nobody").images.generate
    unauthorised = lambda: raises(
        openai.AuthenticationError, lambda: stranger(model="auto", prompt="x"), 401, "invalid_api_key"
    )
    case("401 unknown key", unauthorised)
    unknown = lambda: generate(model="no-such-model", prompt="x")
    case("404 unknown model", lambda: raises(openai.NotFoundError, unknown, 404, "model_not_found"))
    absent = lambda: client().models.retrieve("no-such-model")
    case("404 unknown model retrieved", lambda: raises(openai.NotFoundError, absent, 404, "model_not_found"))
    dear = lambda: generate(model="auto", prompt="x", extra_body=extension(max_cost_usd="0.0000001"))
    case("422 too dear", lambda: raises(openai.UnprocessableEntityError, dear, 422, "cost_limit_exceeded"))
    nobody = lambda: generate(model="auto", prompt="x", extra_body=extension(loras=[{"id": "kite", "weight": 0.8}]))
    case("422 nobody can", lambda: raises(openai.UnprocessableEntityError, nobody, 422, "no_offer"))
    case("errors cost nothing", lambda: check(bills() == before, f"{before} became {bills()}"))

    def moderated():
        fault_everywhere("moderation")
        call = lambda: generate(model="auto", prompt="something refused")
        raises(openai.BadRequestError, call, 400, "moderation_blocked")

    case("400 moderation", moderated)


def rate_limited():
    fault_everywhere("429")

    def limited():
        call = lambda: client().images.generate(model="auto", prompt="a kite in the rush")
        error = raises(openai.RateLimitError, call, 429, "rate_limited")
        check(error.response.headers.get("retry-after"), "no retry-after")

    case("429 from everywhere", limited)


def upstream_failed():
    fault_everywhere("500")
    call = lambda: client().images.generate(model="auto", prompt="a kite in a storm")
    case("502 when every offer fails", lambda: raises(openai.InternalServerError, call, 502, "upstream_failed"))


def no_second_payment():
    """Every stand-in makes the picture, bills it and cuts the line: nobody may buy again."""
    model = streaming_model()
    fault_everywhere("reset_after")

    def paid_once_each():
        retrying, sent = counting_client()
        before = bills()
        call = lambda: retrying.images.generate(model="auto", prompt="a kite, paid once")
        error = raises(openai.InternalServerError, call)
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")
        check(error.response.headers.get("x-should-retry") == "false", "no x-should-retry: false")
        bought = {kind: count - before[kind] for kind, count in bills().items() if count > before[kind]}
        check(bought, "nothing was billed: the fault did not bite")
        check(all(count == 1 for count in bought.values()), f"bought twice at one provider: {bought}")

    def at_one_provider():
        retrying, sent = counting_client()
        before = bills()
        only = {"gallerist": {"providers": {"only": ["openai"]}}}
        call = lambda: retrying.images.generate(model=model, prompt="a kite at one provider", extra_body=only)
        error = raises(openai.InternalServerError, call)
        check(len(sent) == 1, f"the SDK sent {len(sent)} requests")
        check(error.response.headers.get("x-should-retry") == "false", "no x-should-retry: false")
        bought = sum(bills().values()) - sum(before.values())
        check(bought == 1, f"bought {bought} times")

    case("no second payment, at one provider", at_one_provider)
    case("no second payment, on a route", paid_once_each)


GROUPS = (surface, errors, rate_limited, upstream_failed, no_second_payment)

if __name__ == "__main__":
    chosen = [group for group in GROUPS if sys.argv[1:] == [group.__name__]]
    if not chosen:
        sys.exit(__doc__)
    chosen[0]()
    sys.exit(1 if failures else 0)
