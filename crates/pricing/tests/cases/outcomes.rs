//! What is charged when things go wrong, beside what the sheets say of it.

use crate::{File, catalogue, documented, files};
use gallerist_domain::{Billed, ChargeEvent};
use serde::Deserialize;
use std::collections::BTreeMap;

/// What is charged when a call ends in this way, by the words of a provider's sheet.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutcomeCase {
    model: String,
    operation: Option<gallerist_domain::Operation>,
    #[serde(default)]
    region: String,
    success: Billed,
    filtered: Billed,
    refused: Billed,
    failed: Billed,
    cancelled_queued: Billed,
    cancelled_running: Billed,
    disconnected: Billed,
    timed_out: Billed,
    arithmetic: String,
    source: String,
}

impl OutcomeCase {
    /// In the order of the table in the documentation.
    fn events(&self) -> [(ChargeEvent, Billed); 8] {
        [
            (ChargeEvent::Success, self.success),
            (ChargeEvent::Filtered, self.filtered),
            (ChargeEvent::Refused, self.refused),
            (ChargeEvent::Failed, self.failed),
            (ChargeEvent::CancelledQueued, self.cancelled_queued),
            (ChargeEvent::CancelledRunning, self.cancelled_running),
            (ChargeEvent::Disconnected, self.disconnected),
            (ChargeEvent::TimedOut, self.timed_out),
        ]
    }

    fn row(&self, kind: &str) -> String {
        let operation = self.operation.map(|operation| format!(" {operation}")).unwrap_or_default();
        let region = if self.region.is_empty() { String::new() } else { format!(" at {}", self.region) };
        let words = self.events().map(|(_, billed)| word(billed));
        format!("| `{kind}/{}`{operation}{region} | {} |", self.model, words.join(" | "))
    }
}

const fn word(billed: Billed) -> &'static str {
    match billed {
        Billed::Yes => "yes",
        Billed::No => "no",
        Billed::Unknown => "unknown",
    }
}

/// Every matrix of every provider of the sheets has a case, and says what the sheet says.
#[test]
fn what_is_charged_when_things_go_wrong_is_what_the_sheets_say() {
    let catalogue = catalogue();
    let files: BTreeMap<String, File> = files().into_iter().collect();
    let mut wrong = Vec::new();
    for provider in catalogue.providers.iter().filter(|provider| !provider.kind.starts_with("described-")) {
        let cases = files[&provider.kind].outcomes.as_deref().unwrap_or_default();
        let mut covered: Vec<Vec<(ChargeEvent, Billed)>> = Vec::new();
        for case in cases {
            assert!(!case.arithmetic.is_empty() && !case.source.is_empty(), "{}", case.row(&provider.kind));
            let model = provider.models.iter().find(|model| model.is_named(&case.model));
            let Some(model) = model else { panic!("{}/{} is no model", provider.kind, case.model) };
            let operation = case.operation.unwrap_or(model.capabilities.operations[0]);
            let matrix = model.outcomes.of(operation, &case.region);
            covered.push(matrix.rows().to_vec());
            for (event, billed) in case.events().into_iter().filter(|(event, b)| matrix.billed(*event) != *b)
            {
                let (wanted, known) = (word(billed), word(matrix.billed(event)));
                wrong.push(format!(
                    "{}/{} {event:?}: {known}, by the sheet {wanted}",
                    provider.kind, case.model
                ));
            }
        }
        for model in &provider.models {
            for matrix in model.outcomes.all() {
                if !covered.iter().any(|rows| rows == matrix.rows()) {
                    wrong.push(format!("{}/{} has a matrix without a case", provider.kind, model.id));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let mut shown: Vec<String> =
        documented::rows("outcomes").into_iter().filter(|line| line.starts_with("| `")).collect();
    let all =
        files.iter().flat_map(|(kind, file)| file.outcomes.iter().flatten().map(move |case| case.row(kind)));
    let mut cases: Vec<String> = all.collect();
    shown.sort();
    cases.sort();
    assert_eq!(shown, cases, "the documentation shows each case");
}

/// Each end of a call is somewhere charged, somewhere not, and somewhere unknown; by provider, operation and region.
#[test]
fn every_way_in_which_a_call_ends_is_shown_as_charged_as_free_and_as_unknown() {
    let files = files();
    let cases: Vec<&OutcomeCase> =
        files.iter().flat_map(|(_, file)| file.outcomes.iter().flatten()).collect();
    let is_shown = |event: ChargeEvent, billed: Billed| {
        cases.iter().any(|case| case.events().contains(&(event, billed)))
    };
    for (event, _) in cases[0].events() {
        assert!(is_shown(event, Billed::Yes), "{event:?} is charged nowhere");
        // What was made is paid for, everywhere.
        for billed in [Billed::No, Billed::Unknown] {
            let made = event == ChargeEvent::Success;
            assert_eq!(is_shown(event, billed), !made, "{event:?}: {}", word(billed));
        }
    }
    assert!(cases.iter().any(|case| case.operation.is_some()), "by operation");
    assert!(cases.iter().any(|case| !case.region.is_empty()), "by region or partner");
}
