//! Names of providers in a request that nobody here has. They are no reason to refuse it, since one body may go to
//! several gateways; but what they should have done is not done, and that is told.

use crate::market::Market;
use gallerist_domain::ImageRequest;
use gallerist_routing::slip_of;

/// A warning for each such name.
pub(crate) fn warnings(request: &ImageRequest, market: &Market) -> Vec<String> {
    let ImageRequest { providers_only, providers_exclude, provider_options, .. } = request;
    let accounts = || market.offers.iter().map(|offer| &offer.id.provider);
    let kinds = || market.catalogue.providers.iter().map(|sheet| &sheet.kind);
    let lists = [("providers.only", providers_only), ("providers.exclude", providers_exclude)];
    let named = lists.into_iter().flat_map(|(field, names)| names.iter().map(move |name| (field, name)));
    let options = provider_options.keys().map(|kind| ("provider_options", kind));
    let unknown = named
        .filter(|(_, name)| !accounts().chain(kinds()).any(|known| known == *name))
        .chain(options.filter(|(_, kind)| !kinds().any(|known| known == *kind)));
    unknown
        .map(|(field, name)| {
            let meant = slip_of(name, accounts().chain(kinds()).cloned());
            let meant = meant.map(|meant| format!("; is {meant} meant?")).unwrap_or_default();
            format!("gallerist.{field} names {name:?}, and no provider here is called that{meant}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_pricing::Catalogue;
    use std::sync::Arc;

    #[test]
    fn a_name_that_nobody_has_is_told_with_what_was_likely_meant() {
        let market = Market::new(Arc::new(Catalogue::embedded()), &[]);
        let mut request = ImageRequest::new("auto", "a kite");
        request.providers_only = vec!["bfl".to_owned()];
        request.provider_options.insert("fal".to_owned(), "{}".to_owned());
        assert_eq!(warnings(&request, &market), [] as [String; 0]);
        request.providers_exclude = vec!["opnai".to_owned(), "qqqqqqqqqqqq".to_owned()];
        request.provider_options.insert("bfll".to_owned(), "{}".to_owned());
        assert_eq!(
            warnings(&request, &market),
            [
                "gallerist.providers.exclude names \"opnai\", and no provider here is called that; is openai meant?",
                "gallerist.providers.exclude names \"qqqqqqqqqqqq\", and no provider here is called that",
                "gallerist.provider_options names \"bfll\", and no provider here is called that; is bfl meant?",
            ]
        );
    }
}
