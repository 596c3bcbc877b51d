//! Utilisation and marginal rates: what they come to, and what is wrong about them.

use super::{SOUND, plant, read};
use crate::sheet::{MarginalRate, PriceLine};
use crate::testing::usd;
use gallerist_domain::Price;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

const LINE: &str = "    { line = \"picture\", meter = \"images\", amount = \"4\", currency = \"credit\", source = \"page\" },\n]";

/// The sound file with a card at 1.10 dollars an hour, and these words on its line.
fn with_card(words: &str) -> String {
    let mut text = SOUND.to_owned();
    let line = format!(
        "    {{ line = \"card\", meter = \"gpu_seconds\", amount = \"1.10\", per = 3600, source = \"page\"{words} }},\n]"
    );
    let estimate = "{ meter = \"gpu_seconds\", each = \"image\", form = { fixed = { min = 1, expected = 2, max = 3 } }, source = \"page\" }";
    plant(&mut text, LINE, &format!("{line}\nestimates = [{estimate}]"));
    text
}

fn sheet(words: &str) -> (PriceLine, Vec<MarginalRate>) {
    let catalogue = read(&with_card(words)).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let sheet = &catalogue.providers[0].models[0].sheet;
    (sheet.lines[0].clone(), sheet.marginal.clone())
}

fn mistake(text: &str) -> String {
    let mistakes = read(text).expect_err("the file has a mistake");
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    mistakes[0].message.clone()
}

#[test]
fn a_line_without_the_words_is_what_it_was() {
    let (line, marginal) = sheet("");
    assert_eq!(line.price_expected, Price { amount: usd("1.10"), per: HOUR });
    assert_eq!((line.utilisation_percent, line.written.as_str()), (100, "1.10 USD / 3600 gpu_seconds"));
    assert!(marginal.is_empty());
}

#[test]
fn a_rent_is_spread_over_the_time_at_work_exactly() {
    let (line, _) = sheet(", utilisation_percent = 30");
    // 1.10 ÷ 0.3 has no end in decimals; 11 dollars for 10,800 seconds is the same and exact.
    assert_eq!(line.price_expected, Price { amount: usd("11"), per: 3 * HOUR });
    assert_eq!((line.price, line.price_max), (line.price_expected, line.price_expected));
    assert_eq!(line.unit_price_usd(), "11.0000000000 / 10800");
    assert_eq!(line.written, "1.10 USD / 3600 gpu_seconds at 30 % utilisation");
    for percent in 1..=100u8 {
        let (line, _) = sheet(&format!(", utilisation_percent = {percent}"));
        let rent = Price { amount: usd("1.10"), per: HOUR };
        assert_eq!(line.rent_of(line.price_expected), rent, "{percent}");
        let Price { amount, per } = line.price_expected;
        let (left, right) = (i128::from(amount.get()) * i128::from(rent.per) * i128::from(percent), 100);
        assert_eq!(left, i128::from(rent.amount.get()) * i128::from(per) * right, "{percent}");
    }
}

#[test]
fn a_marginal_rate_is_dollars_an_hour_or_electricity_rounded_up_once() {
    let rate = |words: &str| {
        let (line, marginal) = sheet(&format!(", marginal = {{ {words} }}"));
        // What is charged does not change.
        assert_eq!(line.price_expected, Price { amount: usd("1.10"), per: HOUR });
        assert_eq!((marginal.len(), marginal[0].line.as_str(), marginal[0].price.per), (1, "card", HOUR));
        marginal[0].price.amount.short()
    };
    assert_eq!(rate("usd_per_hour = \"0.15\""), "0.15");
    assert_eq!(rate("usd_per_hour = \"0\""), "0.00", "electricity may be in the rent");
    assert_eq!(rate("kilowatts = \"0.45\", usd_per_kwh = \"0.32\""), "0.144");
    // 0.333333 × 0.333331 = 0.111110222223, up at the tenth place; half up it would end in 2222.
    assert_eq!(rate("kilowatts = \"0.333333\", usd_per_kwh = \"0.333331\""), "0.1111102223");
    // 0.1 × 0.00000000101 = 0.000000000101: up to two ticks, not down to one.
    assert_eq!(rate("kilowatts = \"0.1\", usd_per_kwh = \"0.00000000101\""), "0.0000000002");
    assert_eq!(rate("usd_per_hour = \"1.10\""), "1.10", "as much as the line charges is no mistake");
}

#[test]
fn each_bad_value_is_named_with_the_remedy() {
    for (words, named) in [
        ("utilisation_percent = 0", "`utilisation_percent` is a whole number from 1 to 100"),
        ("utilisation_percent = 101", "`utilisation_percent` is a whole number from 1 to 100"),
        ("marginal = { usd_per_hour = \"1.11\" }", "\"card\" is 1.11 dollars an hour, more than the line"),
        ("marginal = { usd_per_hour = \"cheap\" }", "`usd_per_hour` is decimal text of at least 0, such as"),
        ("marginal = { usd_per_hour = \"-1\" }", "`usd_per_hour` is decimal text of at least 0, such as"),
        ("marginal = { kilowatts = \"0.4\" }", "{ kilowatts = \"0.45\", usd_per_kwh = \"0.32\" }"),
        ("marginal = { usd_per_kwh = \"0.4\" }", "`marginal` is one of two"),
        ("marginal = { }", "`marginal` is one of two"),
        ("marginal = { usd_per_hour = \"0.1\", kilowatts = \"0.4\" }", "`marginal` is one of two"),
        ("marginal = { kilowatts = \"450\", usd_per_kwh = \"0.0001\" }", "write 0.45 for 450 watts"),
        ("marginal = { kilowatts = \"x\", usd_per_kwh = \"0.3\" }", "`kilowatts` is decimal text"),
        ("marginal = { kilowatts = \"0.4\", usd_per_kwh = \"0,3\" }", "`usd_per_kwh` is decimal text"),
        ("marginal = { usd_per_hour = 0.15 }", "expected a string"),
        ("marginal = 0.15", "expected a table: { usd_per_hour = \"0.15\" }, or { kilowatts"),
        ("marginal = 0.15", "`marginal`: invalid type"),
        ("marginal = { watts = \"450\" }", "unknown field `watts`"),
        ("marginal = { usd_per_hour = \"99999999999\" }", "beyond what an amount can hold"),
    ] {
        let told = mistake(&with_card(&format!(", {words}")));
        assert!(told.contains(named), "{words}: {told}");
    }
    // With a utilisation, the rate is held against what the line charges then.
    sheet(", utilisation_percent = 50, marginal = { usd_per_hour = \"2.20\" }");
}

#[test]
fn only_time_of_hardware_has_either() {
    for words in ["utilisation_percent = 50", "marginal = { usd_per_hour = \"0.01\" }"] {
        let mut text = SOUND.to_owned();
        plant(&mut text, "currency = \"credit\", source", &format!("currency = \"credit\", {words}, source"));
        let told = mistake(&text);
        let field = words.split(' ').next().expect("a field");
        assert!(told.contains(&format!("`{field}` belongs to a line of gpu_seconds")), "{told}");
        assert!(told.contains("not images: leave it out"), "{told}");
        let mut text = SOUND.to_owned();
        let minimum = format!(
            "minimum = {{ line = \"least\", meter = \"calls\", amount = \"1\", {words}, source = \"page\" }}"
        );
        plant(&mut text, LINE, &format!("{LINE}\n{minimum}"));
        assert!(mistake(&text).contains("not calls: leave it out"));
    }
}
