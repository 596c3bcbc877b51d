//! What the engine does when things go wrong, one promise a test; after each the books balance.
//!
//! - `alerts`: what people are told of, and how it reaches them
//! - `failover`: where a fault leads, and what was paid on the way
//! - `limits`: cost limits, caps, refusals before any payment
//! - `budgets`: limits of providers and end users, and what they leave
//! - `several`: several pictures, some of which fail
//! - `repetition`: idempotency keys and automatic repetitions pay once
//! - `hostile`: upstreams that answer what no provider should
//! - `leaving`: clients that go away, deadlines, shutdown
//! - `streams`: partial pictures, and streams that break
//! - `overruns`: providers that charge other prices than they publish
//! - `figures`: absurd charges, engines that cost nothing
//! - `health`: offers that rest
//! - `marginal`: engines whose hardware is paid anyway
//! - `options`: what only one vendor knows, and what a vendor had cached
//! - `compatible`: an upstream that speaks another kind's protocol at prices of its own
//! - `replicas`: two gateways on one PostgreSQL
//! - `shared_rates`: two gateways that count rates on one Redis server, and that server away
//! - `rests`: gateways that tell each other on Redis which offers rest
//! - `restart`: crashes in the middle of a call
//! - `routes`: named routes, names that are gone, names that a provider sends on

mod alerts;
mod budgets;
mod compatible;
mod failover;
mod figures;
mod health;
mod hostile;
mod leaving;
mod limits;
mod marginal;
mod options;
mod overruns;
mod repetition;
mod replicas;
mod restart;
mod rests;
mod routes;
mod several;
mod shared_rates;
mod streams;
mod tenants;

use gallerist_domain::{ImageData, ImageRequest, Size, SizeChoice, Ticks};
use gallerist_engine::{Answer, DeliveredImage};

/// One square picture.
fn ask(model: &str) -> ImageRequest {
    let mut request = ImageRequest::new(model, "a heron on one leg");
    request.size = SizeChoice::Exact(Size::new(1024, 1024));
    request
}

/// One square picture on the route, at these providers only.
fn ask_at(providers: &[&str]) -> ImageRequest {
    let mut request = ask("auto");
    request.providers_only = providers.iter().map(|name| (*name).to_owned()).collect();
    request
}

fn usd(text: &str) -> Ticks {
    text.parse().expect("an amount")
}

/// The bytes of a picture, whatever it is held in.
fn bytes(image: &DeliveredImage) -> Vec<u8> {
    match &image.data {
        ImageData::Bytes(chunks) => chunks.to_vec(),
        ImageData::Base64(text) => gallerist_imaging::decode_base64(text).expect("base64").to_vec(),
        ImageData::Url(_) => panic!("a delivered picture is no address"),
    }
}

fn files(answer: &Answer) -> Vec<Vec<u8>> {
    answer.images.iter().map(bytes).collect()
}
