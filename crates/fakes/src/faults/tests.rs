use super::*;

fn script(value: Value) -> Faults {
    let faults = Faults::new(&["task_error"], &["null_cost"]);
    faults.set(&value).expect("the script is good");
    faults
}

fn draws(faults: &Faults, times: usize) -> Vec<Option<Fault>> {
    let seeds = Seeds::new(1);
    (0..times).map(|_| faults.draw("generate", &seeds).fault()).collect()
}

#[test]
fn exclusive_entries_take_turns() {
    let faults = script(json!([{"fault": "500", "count": 1}, {"fault": "429", "count": 1}]));
    assert_eq!(draws(&faults, 3), [Some(Fault::Internal), Some(Fault::TooManyRequests), None]);
}

#[test]
fn after_skips_the_first_requests() {
    let faults = script(json!([{"fault": "blank", "after": 2}]));
    assert_eq!(draws(&faults, 3), [None, None, Some(Fault::Blank)]);
}

#[test]
fn latency_and_manners_combine_with_a_fault() {
    let faults = script(json!([
        {"fault": "latency", "ms": 5}, {"fault": "null_cost"}, {"fault": "task_error"},
    ]));
    let drawn = faults.draw("generate", &Seeds::new(1));
    assert_eq!(drawn.latency_ms(), 5);
    assert!(drawn.custom("null_cost") && drawn.custom("task_error"));
}

#[test]
fn a_named_operation_meets_that_operation_alone() {
    let faults = script(json!([{"fault": "500", "operation": "poll"}, {"fault": "502"}]));
    let seeds = Seeds::new(1);
    assert_eq!(faults.draw("submit", &seeds).fault(), Some(Fault::BadGateway));
    assert_eq!(faults.draw_secondary("poll", &seeds).fault(), Some(Fault::Internal));
    assert_eq!(faults.draw_secondary("download", &seeds).fault(), None);
}

#[test]
fn an_unknown_name_is_refused_with_the_known_ones() {
    let faults = Faults::new(&["task_error"], &[]);
    let complaint = faults.set(&json!([{"fault": "fire"}])).expect_err("there is no such fault");
    assert!(complaint.contains("task_error") && complaint.contains("reset_after"), "{complaint}");
}

#[test]
fn a_price_change_has_its_own_draw() {
    let faults = script(json!([{"fault": "price_changed", "numerator": 2, "denominator": 1, "count": 1}]));
    let seeds = Seeds::new(1);
    assert_eq!(faults.draw("generate", &seeds).fault(), None);
    assert_eq!(faults.price_factor(&seeds), (2, 1));
    assert_eq!(faults.price_factor(&seeds), (1, 1));
}

#[test]
fn the_same_seed_gives_the_same_draws() {
    let value = json!([{"fault": "500", "probability": 0.5}]);
    assert_eq!(draws(&script(value.clone()), 50), draws(&script(value), 50));
}

#[tokio::test(start_paused = true)]
async fn an_entry_ends_with_its_time() {
    let faults = script(json!([{"fault": "500", "for_ms": 100}]));
    assert_eq!(draws(&faults, 1), [Some(Fault::Internal)]);
    tokio::time::advance(Duration::from_millis(101)).await;
    assert_eq!(draws(&faults, 1), [None]);
}
