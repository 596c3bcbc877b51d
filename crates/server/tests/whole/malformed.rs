//! The table of malformed and hostile requests, through the real server: each gets a clear answer in the form of
//! its surface that names what is wrong, none costs anything, and afterwards the server is well.

use crate::client::{self, Reply};
use crate::house::House;
use crate::mistakes::{EXTENSION_MISTAKES, MISTAKES, no_objects};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const GENERATIONS: &str = "/v1/images/generations";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Client,
    Admin,
    Nobody,
}

/// A request, and what must be said of it.
struct Row {
    who: Who,
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
    parameter: Option<String>,
}

fn row(status: u16, code: &'static str, parameter: &str) -> Row {
    Row {
        who: Who::Client,
        method: "POST",
        path: GENERATIONS.to_owned(),
        headers: Vec::new(),
        body: b"{\"prompt\":\"x\"}".to_vec(),
        status,
        code,
        parameter: (!parameter.is_empty()).then(|| parameter.to_owned()),
    }
}

impl Row {
    fn body(self, body: impl Into<Vec<u8>>) -> Row {
        Row { body: body.into(), ..self }
    }

    fn json(self, body: &Value) -> Row {
        self.body(body.to_string())
    }

    fn at(self, method: &'static str, path: impl Into<String>) -> Row {
        Row { method, path: path.into(), ..self }
    }

    fn by(self, who: Who) -> Row {
        Row { who, ..self }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Row {
        self.headers.push((name, value.into()));
        self
    }
}

/// Everything that is wrong with a generation's own fields.
fn fields() -> Vec<Row> {
    let mistakes = MISTAKES.iter().map(|(body, parameter, code)| row(400, code, parameter).body(*body));
    let extension = EXTENSION_MISTAKES.iter().map(|(extension, parameter, code)| {
        row(400, code, parameter).body(format!(r#"{{"prompt":"x","gallerist":{extension}}}"#))
    });
    mistakes.chain(extension).collect()
}

/// Bodies that are no generation at all, and those that are too much.
fn bodies() -> Vec<Row> {
    let mut rows: Vec<Row> = no_objects()
        .into_iter()
        // What is read as the fault of a field is in the parser's own tests.
        .filter(|body| !body.ends_with(b"\\x\"}") && !body.ends_with(b"01}") && !body.ends_with(b"NaN}"))
        .map(|body| row(400, "invalid_json", "").body(body))
        .collect();
    let multipart = "--b\r\ncontent-disposition: form-data; name=\"image\"\r\n\r\nabc";
    let form = ("content-type", "multipart/form-data; boundary=b");
    let huge = [b"{\"prompt\":\"".to_vec(), vec![b'a'; 100_000_000], b"\"}".to_vec()].concat();
    let prompt = |length: usize| json!({"prompt": "a".repeat(length)});
    rows.extend([
        row(413, "payload_too_large", "").body(huge),
        row(413, "payload_too_large", "").json(&prompt(9_000_000)),
        row(400, "string_above_max_length", "prompt").json(&prompt(32_001)),
        row(400, "invalid_json", "").header(form.0, form.1).body(multipart),
        row(400, "invalid_json", "")
            .header("content-type", "application/x-www-form-urlencoded")
            .body("prompt=x"),
        row(400, "invalid_json", "").header("content-encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0, 0, 0]),
        row(400, "unsupported_operation", "")
            .at("POST", "/v1/images/edits")
            .header(form.0, form.1)
            .body(multipart),
        row(400, "unsupported_operation", "").at("POST", "/v1/images/variations").body("{"),
    ]);
    rows
}

/// Well-formed wishes that nobody can or may fulfil.
fn wishes() -> Vec<Row> {
    let wish = |status, code, parameter, name: &str, value: Value| {
        row(status, code, parameter).json(&json!({"prompt": "x", name: value}))
    };
    vec![
        wish(404, "model_not_found", "model", "model", json!("no/such")),
        wish(404, "model_not_found", "model", "model", json!("../../etc/passwd")),
        wish(404, "model_not_found", "model", "model", json!("auto@1")),
        wish(422, "no_offer", "", "size", json!("1x1")),
        wish(422, "no_offer", "", "size", json!("65535x65535")),
        wish(400, "invalid_value", "size", "size", json!("4294967295x4294967295")),
        wish(400, "invalid_value", "quality", "quality", json!("best")),
        wish(422, "no_offer", "", "gallerist", json!({"providers": {"only": ["nobody"]}})),
        wish(422, "price_unknown", "", "model", json!("bfl/flux-2-dev")),
        wish(
            422,
            "cost_limit_exceeded",
            "gallerist.max_cost_usd",
            "gallerist",
            json!({"max_cost_usd": "0.0000001"}),
        ),
        wish(422, "no_offer", "", "gallerist", json!({"references": ["https://93.184.216.34/a.png"]})),
    ]
}

/// Keys, headers and paths.
fn around() -> Vec<Row> {
    let key_header = "Idempotency-Key";
    let nobody =
        |value: String| row(401, "invalid_api_key", "").by(Who::Nobody).header("authorization", value);
    let gone = |method, path| row(404, "not_found", "").at(method, path).by(Who::Admin).body("");
    vec![
        row(401, "invalid_api_key", "").by(Who::Nobody),
        nobody("Bearer sk-wrong".to_owned()),
        nobody(format!("Bearer {}", "a".repeat(5_000))),
        nobody("Basic c2s6eA==".to_owned()),
        nobody("Bearer ".to_owned()),
        nobody("Bearer gal-\u{e4}".to_owned()),
        row(401, "invalid_api_key", "").by(Who::Nobody).body(vec![b'a'; 20_000_000]),
        row(401, "invalid_api_key", "").by(Who::Nobody).at("GET", "/v1/models").body(""),
        row(401, "invalid_api_key", "").by(Who::Nobody).at("POST", "/v1/quotes"),
        row(403, "forbidden", "").at("GET", "/v1/keys").body(""),
        row(403, "forbidden", "").at("POST", "/v1/projects").body("{\"id\":\"mine\"}"),
        row(403, "forbidden", "").at("GET", "/v1/requests?project=other").body(""),
        row(400, "invalid_value", key_header).header("idempotency-key", "a b"),
        row(400, "invalid_value", key_header).header("idempotency-key", ""),
        row(400, "invalid_value", key_header).header("idempotency-key", "\u{e4}"),
        row(400, "invalid_value", key_header).header("idempotency-key", "a\tset-cookie: a=b"),
        row(400, "invalid_value", key_header).header("idempotency-key", "a".repeat(256)),
        row(405, "method_not_allowed", "").at("GET", GENERATIONS).body(""),
        row(405, "method_not_allowed", "").at("TRACE", "/v1/keys").body(""),
        row(404, "not_found", "").at("POST", "/v1/images/../keys"),
        row(404, "not_found", "").at("POST", "/v1/images/generations/"),
        row(404, "not_found", "").at("POST", "//v1/images/generations"),
        row(404, "model_not_found", "model").at("GET", format!("/v1/models/{}", "a".repeat(5_000))).body(""),
        row(404, "model_not_found", "model").at("GET", "/v1/models/%0d%0aset-cookie:%20a=b").body(""),
        gone("GET", "/v1/models/%FF"),
        gone("GET", "/v1/requests/%FF"),
        gone("GET", "/v1/requests/..%2f..%2fetc%2fpasswd"),
        gone("GET", "/v1/requests/x/images/%C3"),
        gone("GET", "/v1/pictures/%FF/0"),
        gone("GET", "/v1/pictures/019ac1d4-7b7e-7c21-9a52-6c8b0f1f2a3b/0?expires=99999999999&signature=00"),
        gone("GET", "/v1/projects/%FF"),
        gone("DELETE", "/v1/keys/%FF"),
    ]
}

/// The native surface: queries, and the bodies of admin calls.
fn native() -> Vec<Row> {
    let query = |code, parameter, path: &str| row(400, code, parameter).at("GET", path).body("");
    let admin = |parameter, path: &str, body: Value| {
        row(400, "invalid_value", parameter).by(Who::Admin).at("POST", path).json(&body)
    };
    vec![
        query("invalid_value", "limit", "/v1/requests?limit=0"),
        query("invalid_value", "limit", "/v1/requests?limit=-1"),
        query("invalid_value", "limit", "/v1/requests?limit=99999999999999999999"),
        query("invalid_value", "limit", "/v1/requests?limit=1&limit=2"),
        query("invalid_value", "after", "/v1/requests?after=%27%20OR%201=1"),
        query("unknown_parameter", "order", "/v1/requests?order=desc"),
        query("invalid_value", "group_by", "/v1/usage?group_by=colour"),
        query("invalid_value", "from", "/v1/usage?from=yesterday"),
        query("invalid_value", "from", "/v1/usage?from=2026-11-02&to=2026-11-01"),
        query("invalid_value", "provider", "/v1/prices?provider=nope"),
        query("invalid_value", "model", "/v1/prices?model=nope"),
        query("invalid_value", "model", "/v1/prices?model="),
        query("invalid_value", "model", "/v1/prices?model=auto"),
        query("invalid_value", "model", "/v1/prices?model=bfl/gpt-image-2"),
        query("invalid_value", "provider", "/v1/prices/changes?provider=nope"),
        query("invalid_value", "model", "/v1/prices/changes?model=nope"),
        query("invalid_value", "since", "/v1/prices/changes?since=2026-11-02&until=2026-11-01"),
        query("invalid_value", "since", "/v1/prices/changes?until=2001-01-01"),
        row(400, "invalid_value", "at").at("POST", "/v1/quotes?at=yesterday"),
        row(400, "unknown_parameter", "when").at("POST", "/v1/quotes?when=now"),
        row(400, "integer_below_min_value", "n").at("POST", "/v1/quotes").body("{\"prompt\":\"x\",\"n\":0}"),
        row(400, "invalid_json", "").at("POST", "/v1/quotes").body("{"),
        admin("id", "/v1/projects", json!({"id": "No Good"})),
        admin("cap_usd", "/v1/projects", json!({"id": "p", "cap_usd": "-1"})),
        admin("cap_usd", "/v1/projects", json!({"id": "p", "cap_usd": "1e99"})),
        admin("owner", "/v1/projects", json!({"id": "p", "owner": "me"})),
        admin("", "/v1/projects", json!(["p"])),
        admin("credits", "/v1/credits", json!({"provider": "bfl", "credits": "0", "price_usd": "1"})),
        admin("credits", "/v1/credits", json!({"provider": "bfl", "credits": [1], "price_usd": "1"})),
        admin("price_usd", "/v1/credits", json!({"provider": "bfl", "credits": 1, "price_usd": "-1"})),
        admin("provider", "/v1/credits", json!({"provider": "nobody", "credits": 1, "price_usd": "1"})),
        admin(
            "currency",
            "/v1/credits",
            json!({"provider": "bfl", "credits": 1, "price_usd": "1", "currency": "x"}),
        ),
        admin(
            "fee_percent",
            "/v1/credits",
            json!({"provider": "bfl", "credits": 1, "price_usd": 1, "fee_percent": "101"}),
        ),
        admin(
            "expires_at",
            "/v1/credits",
            json!({"provider": "bfl", "credits": 1, "price_usd": "1", "expires_at": "2001-01-01"}),
        ),
        admin("price_usd", "/v1/credits", json!({"provider": "bfl", "credits": 1})),
        admin("lines", "/v1/prices/confirm", json!({"lines": "all"})),
        admin("lines", "/v1/prices/confirm", json!({})),
        admin("dry_run", "/v1/prices/sync", json!({"dry_run": "yes"})),
        admin("limits", "/v1/keys", json!({"limits": 5})),
        admin("limits.images_at_once", "/v1/keys", json!({"limits": {"images_at_once": "many"}})),
        admin("scope", "/v1/budgets", json!({"limit_usd": "1", "scope": 5})),
        admin("columns", "/v1/reconciliations", json!({"provider": "bfl", "bill": "x", "columns": 5})),
        admin(
            "from",
            "/v1/reconciliations",
            json!({"provider": "bfl", "bill": "x", "form": "fal", "from": "2026-11-02", "to": "2026-11-01"}),
        ),
        admin("role", "/v1/keys", json!({"role": "king"})),
        admin("project", "/v1/keys", json!({"project": "../x"})),
        admin("name", "/v1/keys", json!({"name": "a\r\nb"})),
        admin("expires_at", "/v1/keys", json!({"expires_at": "tomorrow"})),
        row(413, "payload_too_large", "").by(Who::Admin).at("POST", "/v1/keys").body(vec![b' '; 70_000]),
    ]
}

async fn send(house: &House, row: &Row) -> Reply {
    let key = match row.who {
        Who::Client => Some(house.key.as_str()),
        Who::Admin => Some(house.admin.as_str()),
        Who::Nobody => None,
    };
    let headers: Vec<(&str, &str)> =
        row.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client::call(house.address, row.method, &row.path, key, &headers, &row.body).await
}

/// Compares an answer with its row, in the form of the surface; says what differs.
fn check(row: &Row, reply: &Reply, ids: &mut BTreeSet<String>) -> Option<String> {
    let head = String::from_utf8_lossy(&row.body[..row.body.len().min(80)]).into_owned();
    let path: String = row.path.chars().take(60).collect();
    let name = format!("{} {path} {:?} {head}", row.method, row.headers.first());
    let said = String::from_utf8_lossy(&reply.body).into_owned();
    let body = reply.json();
    let openai = reply.header("content-type") == Some("application/json");
    let native = reply.header("content-type") == Some("application/problem+json");
    assert!(openai || native, "{name}: {:?}", reply.header("content-type"));
    let error = if openai { &body["error"] } else { &body };
    let parameter = if openai { &error["param"] } else { &error["parameter"] };
    let message = if openai { &error["message"] } else { &error["detail"] };
    let expected = (row.status, row.code, row.parameter.as_deref());
    let actual = (reply.status, error["code"].as_str().unwrap_or_default(), parameter.as_str());
    if actual != expected {
        return Some(format!("{name}: {actual:?}, not {expected:?}: {said}"));
    }
    let message = message.as_str().unwrap_or_default();
    assert!(
        !message.is_empty() && message.len() < 4_000 && !message.contains(['\r', '\0']),
        "{name}: {message:?}"
    );
    assert!(!message.contains("struct "), "{name}: a word of the program: {message}");
    assert!(!said.contains("sk-wrong"), "{name}: the key is repeated");
    for injected in ["set-cookie", "x"] {
        assert!(reply.header(injected).is_none(), "{name}: {injected}");
    }
    if openai {
        // A UUIDv7; another in each answer.
        let id = reply.header("x-request-id").unwrap_or_else(|| panic!("{name}: no x-request-id"));
        assert!(id.len() == 36 && &id[14..15] == "7" && ids.insert(id.to_owned()), "{name}: {id}");
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_and_hostile_requests_get_clear_answers_and_the_server_stays_well() {
    let house = House::open().await;
    let rows: Vec<Row> = [fields(), bodies(), wishes(), around(), native()].into_iter().flatten().collect();
    assert!(rows.len() >= 60, "only {} rows", rows.len());
    let mut ids = BTreeSet::new();
    let mut complaints = Vec::new();
    for row in &rows {
        complaints.extend(check(row, &send(&house, row).await, &mut ids));
    }
    assert!(complaints.is_empty(), "{} of {} rows:\n{}", complaints.len(), rows.len(), complaints.join("\n"));
    assert_eq!(house.fakes.billed_ticks(), 0, "none of it buys anything");
    // A prompt may hold what looks like headers; it stays a prompt.
    let kite = "a kite\r\nset-cookie: a=b\r\n\r\n<script>";
    let reply = house.generate(&json!({"prompt": kite})).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    assert!(reply.header("set-cookie").is_none());
    house.close().await;
}
