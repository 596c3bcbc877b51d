//! Quoting all offers for one request, as users meet it: a plan of a hundred offers, and the report that
//! `POST /v1/quotes` answers. The target is below 20 microseconds for a hundred offers; the three bare figures
//! of a call are timed in `pricing/benches/quote.rs` too, the rest here is what routing adds to them.

use divan::{AllocProfiler, Bencher, black_box};
use gallerist_domain::{Grants, ImageRequest, Size, SizeChoice};
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::{Catalogue, ConfiguredProvider, Offer, bounds, offers, served_offers};
use gallerist_routing::insight::NOTHING;
use gallerist_routing::name_book::PLAIN;
use gallerist_routing::{HealthBook, PlanContext, plan, report};
use jiff::Timestamp;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const COUNT: usize = 100;
/// Accounts at every provider; enough for [`COUNT`] offers that can serve the request.
const ACCOUNTS: usize = 12;

fn main() {
    divan::main();
}

fn request() -> ImageRequest {
    let size = SizeChoice::Exact(Size::new(1024, 1024));
    ImageRequest { size, ..ImageRequest::new("auto", "a red kite over a hill") }
}

fn instant() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("an instant")
}

fn context<'a>(offers: &'a [Offer], health: &'a HealthBook, price_only: bool) -> PlanContext<'a> {
    PlanContext {
        offers,
        health,
        insight: &NOTHING,
        names: &PLAIN,
        grants: Grants::ALL,
        at: instant(),
        now_ms: 0,
        price_only,
    }
}

/// A hundred offers of what can be ordered, with more accounts until there are enough. With `all_in` only such
/// that can serve the request, so that each of them is resolved, priced and sorted.
fn hundred(all_in: bool) -> Vec<Offer> {
    let catalogue = Origin::default().served().expect("the embedded catalogue is sound");
    let account = |number: usize| {
        let named = |kind: &str| ConfiguredProvider::new(&format!("{kind}-{number}"), kind);
        catalogue.providers.iter().map(|sheet| named(&sheet.kind)).collect::<Vec<_>>()
    };
    let mut found = served_offers(&catalogue, &(0..ACCOUNTS).flat_map(account).collect::<Vec<_>>());
    if all_in {
        let (wish, health) = (request(), HealthBook::new(found.len()));
        let context = context(&found, &health, false);
        let planned = plan(&wish, context).expect("auto is known").offers;
        let mut places: Vec<usize> = planned.iter().map(|planned| planned.index).collect();
        places.sort_unstable();
        found = places.into_iter().map(|place| found[place].clone()).collect();
    }
    assert!(found.len() >= COUNT, "only {} offers", found.len());
    found.truncate(COUNT);
    found
}

#[divan::bench(args = [false, true])]
fn plan_of_100_offers(bencher: Bencher<'_, '_>, all_in: bool) {
    let (offers, wish) = (hundred(all_in), request());
    let health = HealthBook::new(offers.len());
    let context = context(&offers, &health, false);
    bencher.bench_local(|| black_box(plan(black_box(&wish), context)).is_ok());
}

/// Every row of the catalogue, whoever can be ordered from; the target is below 100 microseconds.
#[divan::bench]
fn prices_of_the_whole_catalogue(bencher: Bencher<'_, '_>) {
    let catalogue = Catalogue::embedded();
    let kinds: Vec<_> =
        catalogue.providers.iter().map(|sheet| ConfiguredProvider::new(&sheet.kind, &sheet.kind)).collect();
    let (offers, wish) = (offers(&catalogue, &kinds), request());
    let health = HealthBook::new(offers.len());
    let context = context(&offers, &health, true);
    bencher.bench_local(|| black_box(plan(black_box(&wish), context)).is_ok());
}

/// The part of such a plan that is prices.
#[divan::bench]
fn bounds_of_100_planned_offers(bencher: Bencher<'_, '_>) {
    let (offers, wish) = (hundred(true), request());
    let health = HealthBook::new(offers.len());
    let context = context(&offers, &health, false);
    let planned = plan(&wish, context).expect("auto is known").offers;
    bencher.bench_local(|| {
        for offer in &planned {
            black_box(bounds(&offer.offer.model.sheet, black_box(&offer.resolved.facts), context.at).is_ok());
        }
    });
}

#[divan::bench(args = [false, true])]
fn report_of_100_offers(bencher: Bencher<'_, '_>, all_in: bool) {
    let (offers, wish) = (hundred(all_in), request());
    let health = HealthBook::new(offers.len());
    let context = context(&offers, &health, false);
    bencher.bench_local(|| black_box(report::quotes(black_box(&wish), context)).is_ok());
}
