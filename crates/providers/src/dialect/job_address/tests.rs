use super::*;

const DOMAINS: &[&str] = &["bfl.ai"];

#[test]
fn the_key_stays_with_the_vendor() {
    let base = "https://api.bfl.ai/v1";
    for kept in [
        "https://api.bfl.ai/v1/get_result?id=1",
        "https://api.eu2.bfl.ai/v1/get_result?id=1",
        "https://API.EU2.BFL.AI/v1/get_result?id=1",
        "https://bfl.ai/x@y",
    ] {
        assert!(may_take_key(kept, base, DOMAINS), "{kept}");
    }
    for refused in [
        "https://example.com/v1/get_result?id=1",
        "https://evilbfl.ai/",
        "https://bfl.ai.example.com/",
        "https://api.bfl.ai@example.com/",
        "https://example.com\\@api.bfl.ai/",
        "https://example.com#.bfl.ai/",
        "https://example.com%2f.bfl.ai/",
        "https://api.bfl.ai.\tbfl.ai/",
        "http://api.bfl.ai/v1/get_result?id=1",
        "http://127.0.0.1:9100/",
        "https://localhost/",
        "file:///etc/passwd",
        "//api.bfl.ai/x",
        "/v1/get_result",
        "",
    ] {
        assert!(!may_take_key(refused, base, DOMAINS), "{refused}");
    }
}

#[test]
fn a_stand_in_may_name_any_loopback_host_and_no_other() {
    for base in ["http://127.0.0.1:9100/v1", "http://localhost:9100/v1", "https://[::1]:9100/v1"] {
        for kept in ["http://localhost:9101/v1/get_result?id=1", "http://127.0.0.2/x", "http://[::1]:1/x"] {
            assert!(may_take_key(kept, base, DOMAINS), "{kept} from {base}");
        }
        for refused in ["https://api.bfl.ai/v1/x", "http://10.0.0.1/x", "http://127.0.0.1.example.com/x"] {
            assert!(!may_take_key(refused, base, DOMAINS), "{refused} from {base}");
        }
    }
}

#[test]
fn another_host_of_ones_own_is_kept_exactly() {
    let base = "http://fakes:9100/v1";
    assert!(may_take_key("http://fakes:9100/v1/get_result?id=1", base, DOMAINS));
    assert!(!may_take_key("http://other:9100/v1/get_result?id=1", base, DOMAINS));
    assert!(!may_take_key("https://api.bfl.ai/v1/get_result?id=1", base, DOMAINS));
}

#[test]
fn an_address_is_plain_or_refused() {
    assert!(is_plain("https://queue.fal.run/fal-ai/flux/requests/1/status"));
    for odd in ["ftp://a/b", "https://", "https:/a", "a", "https://a b/", "https://user:word@a/"] {
        assert!(!is_plain(odd), "{odd}");
    }
    assert!(!is_plain(&format!("https://a/{}", "b".repeat(3_000))));
}
