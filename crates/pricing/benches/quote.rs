//! The three figures for a hundred offers: what the planning of one request asks of this room. The target
//! is below 20 microseconds for all hundred, without an allocation: the report counts them.

use divan::{AllocProfiler, Bencher, black_box};
use gallerist_domain::{ImageCall, Sizes};
use gallerist_pricing::{Catalogue, Facts, ModelSheet, bounds, quote};
use jiff::Timestamp;
use std::sync::Arc;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Models of the catalogue with complete calls, repeated until there are a hundred.
fn hundred() -> Vec<(Arc<ModelSheet>, ImageCall)> {
    let catalogue = Catalogue::embedded();
    let models: Vec<Arc<ModelSheet>> =
        catalogue.providers.iter().flat_map(|provider| provider.models.iter().cloned()).collect();
    let complete = |model: &Arc<ModelSheet>| {
        let shape = &model.capabilities;
        let mut call = ImageCall::example(&model.upstream, shape.size_default);
        call.quality = shape.quality_default.clone();
        call.steps = shape.steps.map_or(0, |limit| limit.default);
        if let Sizes::Ratios(rows) = &shape.sizes {
            let row = rows.iter().find(|row| row.size == shape.size_default).expect("the default is listed");
            call.resolution = row.resolution.clone();
        }
        (Arc::clone(model), call)
    };
    models.iter().cycle().take(100).map(complete).collect()
}

fn instant() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().expect("an instant")
}

#[divan::bench]
fn bounds_of_100_offers(bencher: Bencher<'_, '_>) {
    let (offers, at) = (hundred(), instant());
    let facts: Vec<Facts<'_>> = offers.iter().map(|(_, call)| Facts::of(call)).collect();
    bencher.bench_local(|| {
        for ((model, _), facts) in offers.iter().zip(&facts) {
            black_box(bounds(&model.sheet, black_box(facts), at).is_ok());
        }
    });
}

#[divan::bench]
fn itemised_quotes_of_100_offers(bencher: Bencher<'_, '_>) {
    let (offers, at) = (hundred(), instant());
    let facts: Vec<Facts<'_>> = offers.iter().map(|(_, call)| Facts::of(call)).collect();
    bencher.bench_local(|| {
        for ((model, _), facts) in offers.iter().zip(&facts) {
            black_box(quote(&model.sheet, black_box(facts), at).is_ok());
        }
    });
}

#[divan::bench]
fn reading_the_embedded_catalogue() -> Catalogue {
    Catalogue::embedded()
}
