//! What is left on an account: one figure somewhere in a small JSON answer.
//!
//! The figure is read from its digits; providers keep fractions of a credit, some more of them than anybody
//! counts. It refuses long answers and anything that is no number.

use super::{Figure, faults};
use crate::{Balance, HttpReply};
use gallerist_domain::money::divide_half_up;
use gallerist_domain::{Decimal, Fault, FaultKind};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Longer answers are no balance.
const BYTES_MAX: usize = 64 << 10;

/// The balance that stands in the members `path` of the answer, in units of `unit`.
///
/// # Errors
/// The fault of an answer that is an error by its status, or holds no such figure.
pub fn read(reply: &HttpReply, path: &[&str], unit: &'static str) -> Result<Balance, Fault> {
    if reply.status != 200 {
        return Err(faults::by_status(reply));
    }
    let malformed = || {
        let detail = format!("the balance has no number {}", path.join("."));
        Fault::new(FaultKind::Malformed, detail).with_status(reply.status)
    };
    if reply.body.len() > BYTES_MAX {
        return Err(malformed());
    }
    let body = reply.body.to_vec();
    let mut found: &RawValue = serde_json::from_slice(&body).map_err(|_| malformed())?;
    for name in path {
        let members: BTreeMap<String, &RawValue> =
            serde_json::from_str(found.get()).map_err(|_| malformed())?;
        found = members.get(*name).copied().ok_or_else(malformed)?;
    }
    let figure: Figure<'_> = serde_json::from_str(found.get()).map_err(|_| malformed())?;
    let left = figure.decimal().and_then(millionths).ok_or_else(malformed)?;
    Ok(Balance { left_millionths: left, unit })
}

/// In millionths, rounded half up where it is finer.
fn millionths(figure: Decimal) -> Option<i64> {
    let units = match figure.to_units_exact(6) {
        Some(units) => units,
        None => divide_half_up(figure.mantissa(), 10i128.checked_pow(figure.scale().checked_sub(6)?)?)?,
    };
    i64::try_from(units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Endpoint, PROVIDERS};
    use gallerist_domain::Chunks;

    fn reply(status: u16, body: &str) -> HttpReply {
        let mut chunks = Chunks::new();
        chunks.push(bytes::Bytes::from(body.to_owned()));
        HttpReply { status, headers: http::HeaderMap::new(), body: chunks }
    }

    fn told(kind: &str, status: u16, body: &str) -> Result<(i64, &'static str), Fault> {
        let adapter = crate::by_kind(kind).expect("an adapter");
        adapter.interpret_balance(&reply(status, body)).map(|told| (told.left_millionths, told.unit))
    }

    #[test]
    fn each_providers_own_form_is_read_from_its_digits() {
        assert_eq!(told("bfl", 200, r#"{"credits":812.5}"#).unwrap(), (812_500_000, "credit"));
        assert_eq!(told("stability", 200, r#"{"credits":1336.75}"#).unwrap(), (1_336_750_000, "credit"));
        let fal = r#"{"username":"a","credits":{"current_balance":24.123456789,"currency":"USD"}}"#;
        assert_eq!(told("fal", 200, fal).unwrap(), (24_123_457, "USD"));
        assert_eq!(told("bfl", 200, r#"{"credits":-0.5}"#).unwrap(), (-500_000, "credit"));
    }

    #[test]
    fn what_is_no_balance_is_a_fault_and_never_zero() {
        for body in ["", "{}", "[]", r#"{"credits":null}"#, r#"{"credits":"many"}"#, r#"{"credits":{}}"#] {
            let fault = told("bfl", 200, body).expect_err(body);
            assert_eq!(fault.kind, FaultKind::Malformed, "{body}");
        }
        let refused = told("stability", 401, r#"{"message":"Incorrect API key provided"}"#).unwrap_err();
        assert_eq!(refused.kind, FaultKind::Unauthorized);
        let user = told("fal", 403, r#"{"error":{"message":"no"}}"#).unwrap_err();
        assert!(user.detail.contains("admin keys"), "{}", user.detail);
        assert!(told("openai", 200, r#"{"credits":1}"#).is_err(), "it has none");
    }

    #[test]
    fn the_key_goes_to_the_account_of_its_own_vendor_alone() {
        let call = |kind: &str, base_url: &str| {
            let endpoint = Endpoint { base_url: base_url.to_owned(), key: "secret-key".to_owned() };
            crate::by_kind(kind).expect("an adapter").balance(&endpoint).expect("it has one")
        };
        assert_eq!(call("bfl", "https://api.bfl.ai/v1").url, "https://api.bfl.ai/v1/credits");
        let stability = call("stability", "https://api.stability.ai");
        assert_eq!(stability.url, "https://api.stability.ai/v1/user/balance");
        assert_eq!(
            call("fal", "https://queue.fal.run").url,
            "https://api.fal.ai/v1/account/billing?expand=credits"
        );
        for moved in ["http://127.0.0.1:9100", "https://fal.example"] {
            let expected = format!("{moved}/v1/account/billing?expand=credits");
            assert_eq!(call("fal", moved).url, expected, "the key stays at the host that was configured");
        }
        let without: Vec<&str> = PROVIDERS
            .iter()
            .filter(|adapter| {
                let endpoint = Endpoint { base_url: "https://a.example".to_owned(), key: String::new() };
                adapter.balance(&endpoint).is_none()
            })
            .map(|adapter| adapter.kind())
            .collect();
        assert_eq!(without, ["openai", "google", "automatic1111"]);
        assert!(!format!("{:?}", call("bfl", "https://api.bfl.ai/v1")).contains("secret-key"));
    }
}
