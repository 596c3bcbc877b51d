//! What providers say, beside the books: balances and invoices, with a gateway and without one.

use crate::support::{Running, gallerist, run};
use serde_json::{Value, json};
use std::process::Command;

struct World {
    home: tempfile::TempDir,
    fakes: Running,
}

impl World {
    fn start() -> World {
        let home = tempfile::tempdir().unwrap();
        let fakes = Running::start(gallerist(home.path()).args(["fakes", "--json"]));
        World { home, fakes }
    }

    /// A command with BFL's key in its environment.
    fn gallerist(&self) -> Command {
        let mut command = gallerist(self.home.path());
        let origin = self.fakes.ready["fakes"]["bfl"].as_str().unwrap();
        command
            .current_dir(self.home.path())
            .env("BFL_API_KEY", self.fakes.ready["fake_keys"]["bfl"].as_str().unwrap())
            .env("GALLERIST_BFL_BASE_URL", format!("{origin}/v1"))
            .env("GALLERIST_DATA_DIR", self.home.path().join("books"))
            .env("GALLERIST_LISTEN", "127.0.0.1:0");
        command
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let ran = run(self.gallerist().args(arguments).arg("--json"));
        assert_eq!(ran.code, 0, "{arguments:?}: {}", ran.err);
        serde_json::from_str(&ran.out).unwrap()
    }

    /// Uses credits elsewhere in the books alone, so that the provider has more, and lets the books follow it.
    fn disagree_and_apply(&self) {
        self.json(&["credits", "use", "bfl", "50"]);
        let told = self.json(&["credits", "balance", "bfl"]);
        let told = &told["data"][0];
        assert_eq!((&told["told"], &told["difference"]), (&json!("1000000"), &json!("50")), "{told}");
        assert_eq!(told["difference_usd"], "0.5000000000");
        let table = run(self.gallerist().args(["credits", "balance"]));
        assert!(
            table.code == 0 && table.out.contains("$0.50") && table.out.contains("--apply"),
            "{}",
            table.out
        );
        let applied = self.json(&["credits", "balance", "bfl", "--apply", "--note", "by hand"]);
        assert_eq!(applied["data"][0]["difference"], "0");
        assert_eq!(self.json(&["credits", "list"])["data"][0]["remaining"], "1000000");
    }

    /// Compares an invoice with one strange charge, and finds it again.
    fn compare(&self) -> String {
        let text = "at,usd\n2026-11-03T10:00:00Z,0.04\n";
        std::fs::write(self.home.path().join("bill.csv"), text).unwrap();
        let order = [
            "reconcile",
            "bill.csv",
            "--provider",
            "bfl",
            "--time",
            "at",
            "--amount",
            "usd",
            "--from",
            "2026-11-01",
            "--to",
            "2026-12-01",
        ];
        let report = self.json(&order);
        let id = report["id"].as_str().expect("it is kept").to_owned();
        assert_eq!(self.json(&["reconcile", "show", &id]), report);
        let dry = self.json(&[&order[..], &["--dry-run"]].concat());
        assert_eq!(dry["id"], Value::Null);
        id
    }
}

#[test]
fn what_a_provider_says_is_left_is_shown_and_booked_with_and_without_a_gateway() {
    let world = World::start();
    world.json(&["credits", "add", "bfl", "1000000", "9000"]);
    world.disagree_and_apply();
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    world.disagree_and_apply();
    assert_eq!(serve.end().code, 0);
    for wrong in [&["credits", "balance", "--apply"][..], &["credits", "balance", "openai"]] {
        let ran = run(world.gallerist().args(wrong));
        assert_eq!(ran.code, 2, "{wrong:?} {}", ran.err);
    }
    world.json(&["credits", "balance", "bfl", "999000"]);
    assert_eq!(world.json(&["credits", "list"])["data"][0]["remaining"], "999000");
}

#[test]
fn invoices_that_were_compared_are_listed_and_shown_with_and_without_a_gateway() {
    let world = World::start();
    world.json(&["projects", "create", "shop"]);
    let nothing = run(world.gallerist().args(["reconcile", "list"]));
    assert!(nothing.code == 0 && nothing.out.contains("No invoice"), "{}{}", nothing.out, nothing.err);
    let first = world.compare();
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    let second = world.compare();
    let with = world.json(&["reconcile", "list", "--provider", "bfl"]);
    assert_eq!(serve.end().code, 0);
    let without = world.json(&["reconcile", "list", "--provider", "bfl"]);
    assert_eq!(with, without);
    let ids: Vec<&str> =
        with["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [&second, &first], "the newest first; a dry run is not kept");
    let shown = run(world.gallerist().args(["reconcile", "show", &first]));
    assert!(shown.code == 0 && shown.out.contains("Only on the invoice (1)"), "{}{}", shown.out, shown.err);
    let unknown = run(world.gallerist().args(["reconcile", "show", "019ac1b2-0000-7000-8000-000000000000"]));
    assert_eq!(unknown.code, 1, "{}", unknown.err);
    assert_eq!(run(world.gallerist().args(["reconcile", "--provider", "bfl"])).code, 2);
    let slip = ["reconcile", "bill.csv", "--provider", "blf", "--time", "at", "--amount", "usd"];
    let slip = run(world.gallerist().args(slip));
    assert!(slip.code == 2 && slip.err.contains("the nearest: bfl"), "{}", slip.err);
}

#[test]
fn a_webhook_is_changed_and_a_slip_in_a_keys_names_is_refused_with_and_without_a_gateway() {
    let world = World::start();
    world.json(&["projects", "create", "shop"]);
    let made = world.json(&["webhooks", "add", "https://hooks.example/one", "--kinds", "budget.*"]);
    let id = made["id"].as_str().unwrap();
    let change = |world: &World| {
        let off = world.json(&["webhooks", "change", id, "--off", "--project", "shop", "--kinds", "price.*"]);
        assert_eq!((&off["enabled"], &off["project"]), (&json!(false), &json!("shop")));
        let on = world.json(&["webhooks", "change", id, "--on", "--project", "all"]);
        assert_eq!((&on["enabled"], &on["project"]), (&json!(true), &json!(null)));
        assert_eq!(on["kinds"], json!(["price.*"]), "what is not named stays");
        assert_eq!(world.json(&["webhooks", "change", id, "--kinds", "all"])["kinds"], json!([]));
        assert_eq!(run(world.gallerist().args(["webhooks", "change", id])).code, 2);
        for wrong in [["--models", "flux-2-prro"], ["--providers", "blf"], ["--routes", "aut"]] {
            let slip = run(world.gallerist().args(["keys", "create"]).args(wrong));
            assert!(slip.code == 2 && slip.err.contains("the nearest: "), "{wrong:?} {}", slip.err);
        }
    };
    change(&world);
    let serve = Running::start(world.gallerist().args(["serve", "--json"]));
    change(&world);
    // The path of an address may be a secret; that it is another one is none.
    world.json(&["webhooks", "change", id, "--url", "https://hooks.example/two"]);
    let audit = world.json(&["audit", "--action", "webhook.change", "--limit", "1"]);
    assert_eq!(audit["data"][0]["after"]["path"], "another", "{audit}");
    assert!(!audit.to_string().contains("/two"), "{audit}");
    let missing = run(world.gallerist().args(["webhooks", "change", "nope", "--on"]));
    assert!(missing.code == 1 && missing.err.contains("gallerist webhooks list"), "{}", missing.err);
    assert_eq!(serve.end().code, 0);
}

/// A quote orders as the gateway of the books would: by credits that would be lost, unless that is left out.
#[test]
fn a_quote_knows_the_credits_of_the_books() {
    let world = World::start();
    world.json(&["credits", "add", "bfl", "1000", "9", "--expires-at", "2099-01-01"]);
    let quote = |flags: &[&str]| {
        let told = world.json(&[&["quote", "a heron", "--model", "bfl/flux-2-pro"], flags].concat());
        let offer = &told["offers"][0];
        (offer["routed_usd"].clone(), offer["routing"].as_str().unwrap_or_default().to_owned())
    };
    let (routed, why) = quote(&[]);
    assert_eq!(routed, json!("0.0000000000"), "{why}");
    assert!(why.contains("credits expire on 2099-01-01 unused"), "{why}");
    assert_eq!(quote(&["--catalogue-only"]), (Value::Null, String::new()));
}
