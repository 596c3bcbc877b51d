use super::*;

#[test]
fn all_paths_below_v1_but_our_own_are_openais() {
    for path in ["/v1/images/generations", "/v1/images/nothing", "/v1/models/a/b", "/v1/chat/completions"] {
        assert!(speaks_openai(path), "{path}");
    }
    for path in ["/", "/v1", "/v1/quotes", "/v1/prices/changes", "/healthz", "/v1/requests/x/images/0"] {
        assert!(!speaks_openai(path), "{path}");
    }
}
