use super::*;

#[test]
fn reads_what_nextest_counted() {
    let text = "\
        PASS [   0.007s] room a::b
        \u{1b}[31;1mFAIL\u{1b}[0m [   0.150s] room a::c
────────────
     Summary [   1.636s] 19 tests run: 16 passed (1 slow), 2 failed, 1 timed out, 3 skipped
        FAIL [   0.150s] ( 9/19) room a::c
     TIMEOUT [   0.150s] (10/19) room a::d
error: test run failed
";
    let tally = read_nextest(text);
    assert_eq!((tally.passed, tally.failed), (16, 3));
    assert_eq!(tally.failures, ["room a::c", "room a::d"]);
}

#[test]
fn reads_what_cargo_counted_in_every_binary() {
    let text = "\
test a::b ... ok
test a::c ... FAILED
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
    let tally = read_cargo_test(text);
    assert_eq!((tally.passed, tally.failed), (13, 1));
    assert_eq!(tally.failures, ["a::c"]);
}

#[test]
fn a_text_without_a_summary_counts_nothing() {
    assert_eq!(read_nextest("error: could not compile, 3 run: of the mill"), Tally::default());
    assert_eq!(read_cargo_test("error: could not compile"), Tally::default());
}
