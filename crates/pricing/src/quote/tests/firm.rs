//! What of a maximum rests on official, recent lines.

use super::*;

#[test]
fn the_firm_part_of_a_maximum_is_that_of_its_official_lines() {
    let part = |kind: &str, model: &str, at: Timestamp| {
        let (_, sheet) = find(kind, model);
        let call = default_call(&sheet);
        let facts = Facts::of(&call);
        let whole = bounds(&sheet.sheet, &facts, at).expect("it has a price").max;
        (firm_maximum(&sheet.sheet, &facts, at).expect("it has a price"), whole)
    };
    // One official price for each picture, read lately; then nobody reads it for months.
    assert_eq!(part("bfl", "flux-2-pro", now()), (usd("0.03"), usd("0.03")));
    let later = now() + jiff::SignedDuration::from_hours(24 * 100);
    assert_eq!(part("bfl", "flux-2-pro", later), (usd("0"), usd("0.03")));
    assert_eq!(part("bfl", "flux-1.1-pro", now()), (usd("0"), usd("0.04")), "third party");
    // Official rates, but the tokens of prompt and picture are guessed.
    let (firm, whole) = part("openai", "gpt-image-1-mini", now());
    assert!(firm.is_zero() && whole > usd("0"), "{firm} of {whole}");
    let (_, sheet) = find("bfl", "flux-2-pro");
    let nothing = PriceSheet { lines: Vec::new(), ..PriceSheet::clone(&sheet.sheet) };
    assert_eq!(firm_maximum(&nothing, &Facts::of(&default_call(&sheet)), now()), None, "unknown is not zero");
}
