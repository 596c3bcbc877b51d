use super::*;

#[test]
fn openais_paths_are_those_below_images_and_models() {
    for path in ["/v1/images/generations", "/v1/images/nothing", "/v1/models", "/v1/models/a/b"] {
        assert!(speaks_openai(path), "{path}");
    }
    for path in ["/", "/v1", "/v1/quotes", "/v1/modelsx", "/healthz", "/v1/requests/x/images/0"] {
        assert!(!speaks_openai(path), "{path}");
    }
}
