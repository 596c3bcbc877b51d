use super::*;

#[test]
fn the_embedded_catalogue_loads() {
    let files = EMBEDDED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    match Catalogue::from_files(files) {
        Ok(catalogue) => assert!(!catalogue.providers.is_empty()),
        Err(mistakes) => panic!("{}", mistakes.iter().map(|m| format!("{m}\n")).collect::<String>()),
    }
}
