//! What the demo asks, and what it tells people about the answers.

use super::picture::{Picture, Priced, Question};
use super::{BASELINE, Demo};
use crate::table::Table;
use crate::{doubt, output};
use gallerist_domain::Ticks;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Offers of the table; what is dearer is counted.
const ROWS_MAX: usize = 12;

/// The limit of the second scene, in dollars.
const LIMIT_USD: &str = "0.06";

/// The same three prompts, each in another size.
pub fn same_prompts() -> Vec<Question> {
    [
        ("a red kite over a green hill", "1024x1024"),
        ("a lighthouse built of books", "1536x1024"),
        ("a tin robot watering ferns", "1024x1536"),
    ]
    .into_iter()
    .map(|(prompt, size)| Question::new("cheapest", prompt, size, Value::Null))
    .collect()
}

/// The best class, under a limit.
pub fn capped() -> Question {
    let extension = json!({"class": "high", "max_cost_usd": LIMIT_USD});
    Question::new("capped", "a poster for a jazz concert in a greenhouse", "1024x1024", extension)
}

/// The first prompt's neighbour, once its provider is down.
pub fn failover() -> Question {
    Question::new("failover", "a red kite over a snowy hill", "1024x1024", Value::Null)
}

pub fn begin(origin: &str) {
    output::line(format!(
        "Stand-ins of six providers are up, and the gateway before them at {origin}/v1.\n\
         No key, no network: the pictures are patterns that carry their prompt, provider, model and size.\n"
    ));
}

/// Of a demo that makes no pictures and does not stay.
pub fn came_up(origin: &str) {
    output::line(format!(
        "Stand-ins of six providers came up, and the gateway before them at {origin}/v1. All of it ends here, as \
         --once asks."
    ));
}

/// Prompts × offers: what each would have cost, with the chosen one marked.
pub fn table(pictures: &[Picture], all: bool) -> Table {
    let mut table = Table::new().text("offer");
    for (picture, letter) in pictures.iter().zip('A'..) {
        let title = if all { asked(picture) } else { letter.to_string() };
        table = table.figure(&title);
    }
    let price = |picture: &Picture, offer: &str| -> String {
        let quoted = picture.quotes.iter().find(|quote| quote.offer == offer);
        match quoted {
            None => "–".to_owned(),
            Some(quote) if picture.offer == offer => format!("→ {}", priced(quote)),
            Some(quote) => priced(quote),
        }
    };
    for offer in shown(pictures, all) {
        let baseline = if offer == BASELINE { " (baseline)" } else { "" };
        let prices = pictures.iter().map(|picture| price(picture, &offer));
        table.row(std::iter::once(format!("{offer}{baseline}")).chain(prices));
    }
    let mut sums = |title: &str, amount: &dyn Fn(&Picture) -> Option<(Ticks, bool)>| {
        let cells = pictures.iter().map(|picture| {
            amount(picture).map_or_else(String::new, |(amount, doubtful)| marked(amount, doubtful))
        });
        table.row(std::iter::once(title.to_owned()).chain(cells));
    };
    sums("paid", &|picture| Some((picture.cost, picture.cost_doubt.is_some())));
    sums("saved against the baseline", &|picture| Some((picture.saved?, saving_is_doubtful(picture))));
    table
}

fn priced(quote: &Priced) -> String {
    marked(quote.expected, quote.doubt.is_some())
}

fn marked(amount: Ticks, doubtful: bool) -> String {
    let mark = if doubtful { doubt::MARK } else { "" };
    format!("{}{mark}", output::dollars(amount))
}

fn saving_is_doubtful(picture: &Picture) -> bool {
    picture.cost_doubt.is_some() || picture.saved_doubt.is_some()
}

/// What the marks of the table mean: each doubt with the offers that it is about. Empty without one.
pub fn doubts(pictures: &[Picture], all: bool) -> Vec<String> {
    let shown = shown(pictures, all);
    let mut about: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for Priced { offer, doubt, .. } in pictures.iter().flat_map(|picture| &picture.quotes) {
        if let Some(doubt) = doubt.as_deref().filter(|_| shown.contains(offer)) {
            about.entry(doubt).or_default().insert(offer);
        }
    }
    // What was paid rests on the provider's own counts, and so on other lines than the quote.
    let paid = pictures.iter().filter_map(|picture| Some((picture.cost_doubt.as_deref()?, "what was paid")));
    for (doubt, what) in paid {
        about.entry(doubt).or_default().insert(what);
    }
    let told = about
        .iter()
        .map(|(doubt, offers)| format!("{doubt}: {}", offers.iter().copied().collect::<Vec<_>>().join(", ")));
    let legend = (!about.is_empty()).then(|| format!("{}:", doubt::LEGEND));
    legend.into_iter().chain(told).collect()
}

fn asked(picture: &Picture) -> String {
    format!("{}, {}", picture.question.prompt, picture.question.body["size"].as_str().unwrap_or_default())
}

/// The offers of the table: all, or the cheapest, those that made a picture, and the baseline.
fn shown(pictures: &[Picture], all: bool) -> Vec<String> {
    let mut shown = offers(pictures);
    let mut at = 0;
    shown.retain(|offer| {
        at += 1;
        all || at <= ROWS_MAX || offer == BASELINE || pictures.iter().any(|picture| picture.offer == *offer)
    });
    shown
}

/// Every offer that was quoted, cheapest for the first prompt first.
fn offers(pictures: &[Picture]) -> Vec<String> {
    let mut offers: Vec<String> = Vec::new();
    for Priced { offer, .. } in pictures.iter().flat_map(|picture| &picture.quotes) {
        if !offers.contains(offer) {
            offers.push(offer.clone());
        }
    }
    offers
}

pub fn cheapest(pictures: &[Picture]) {
    output::line("1. Three prompts, each made where it is cheapest (class standard)\n");
    for (picture, letter) in pictures.iter().zip('A'..) {
        output::line(format!("   {letter}  {}", asked(picture)));
    }
    output::line("");
    output::line(table(pictures, false).render());
    let more = offers(pictures).len().saturating_sub(ROWS_MAX);
    if more > 0 {
        output::line(format!("…and {more} dearer offers (`gallerist quote PROMPT` lists them). → made it."));
    }
    for doubt in doubts(pictures, false) {
        output::line(doubt);
    }
    saved_files(pictures);
}

fn saved_files(pictures: &[Picture]) {
    for picture in pictures {
        output::line(format!("   {}", picture.path.display()));
    }
}

pub fn under_a_limit(picture: &Picture) {
    output::line(format!("\n2. High class, but never more than ${LIMIT_USD}\n"));
    output::line(format!(
        "   {} made it for {}; {} dearer offers were not considered.",
        picture.offer,
        doubt::with(output::dollars(picture.cost), picture.cost_doubt.as_ref()),
        picture.too_dear,
    ));
    if let Some(next) = picture.quotes.iter().find(|quote| quote.offer != picture.offer) {
        output::line(format!(
            "   The next one would have cost {} at {}.",
            doubt::with(output::dollars(next.expected), next.doubt.as_ref()),
            next.offer
        ));
    }
    saved_files(std::slice::from_ref(picture));
}

pub fn failed_over(picture: &Picture, down: &str) {
    output::line("\n3. The cheapest provider is down\n");
    output::line(format!("   The stand-in of {down} was stopped before this picture."));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let quoted = |offer: &str| picture.quotes.iter().find(|quote| quote.offer == offer).map(priced);
    // The one that served is settled, or about to be: the settlement follows the answer.
    let failed = |attempt: &&Value| attempt["status"] == "released" || attempt["status"] == "disputed";
    for attempt in picture.attempts.iter().filter(failed) {
        let offer = text(&attempt["offer"]);
        let price = quoted(&offer).unwrap_or_default();
        let detail = text(&attempt["fault"]["detail"]);
        let held = output::dollars_of(&attempt["reserved_usd"]);
        output::line(match attempt["status"].as_str() {
            Some("released") => {
                format!(
                    "   {offer}: {detail}. {price} not paid: nothing was made, the {held} held went back."
                )
            }
            _ => format!("   {offer}: {detail}. Whether {price} was billed is not known: {held} stay held."),
        });
    }
    let cost = doubt::with(output::dollars(picture.cost), picture.cost_doubt.as_ref());
    output::line(format!("   {} made it instead, for {cost}.", picture.offer));
    saved_files(std::slice::from_ref(picture));
}

pub fn summary(pictures: &[Picture], (charged, doubted): (Ticks, Ticks), billed: Ticks, saved: Ticks) {
    let verdict = if charged == billed { "equal, to the last digit" } else { "NOT equal" };
    output::line(format!(
        "\n{} pictures. The gateway's books say {}, the providers' bills say {}: {verdict}.",
        pictures.len(),
        marked(charged, !doubted.is_zero()),
        output::dollars(billed),
    ));
    let doubtful = pictures.iter().any(saving_is_doubtful);
    output::line(format!("Saved against {BASELINE}: {}.", marked(saved, doubtful)));
    if doubtful || !doubted.is_zero() {
        output::line(doubt::LEGEND);
    }
}

pub(super) fn stay(demo: &Demo) {
    let origin = demo.gateway.origin();
    let api_key = demo.api_key.expose_secret();
    let admin_key = demo.admin_key.expose_secret();
    let books = demo.gateway.engine.store().data_dir().display();
    output::line(format!(
        "
Everything stays up. Your turn:

  base URL    {origin}/v1
  key         {api_key}
  admin key   {admin_key}
  the books   gallerist usage --data-dir {books}

    import base64
    from openai import OpenAI
    client = OpenAI(base_url=\"{origin}/v1\", api_key=\"{api_key}\")
    answer = client.images.generate(model=\"auto\", prompt=\"a fox reading a map\", size=\"1024x1024\")
    open(\"fox.png\", \"wb\").write(base64.b64decode(answer.data[0].b64_json))
    print(answer.gallerist[\"offer\"], answer.gallerist[\"cost\"][\"charged_usd\"])

Ctrl-C ends it."
    ));
}
