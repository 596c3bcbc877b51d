//! Comparisons are kept as they were told, with their alerts, and found again page by page.

use super::support::*;
use crate::*;
use gallerist_domain::{AlertFact, NewAlert, ReconciliationId};

fn comparison(provider: &str, second: i64) -> NewReconciliation {
    NewReconciliation {
        id: ReconciliationId::generate(),
        at: at(second),
        provider: provider.to_owned(),
        from: at(0),
        to: at(100),
        summary_json: format!(r#"{{"lines":{second}}}"#),
        report_json: format!(r#"{{"lines":{second},"grades":[]}}"#),
    }
}

fn outage() -> NewAlert {
    NewAlert {
        once: "drift".to_owned(),
        at: at(0),
        project: None,
        fact: AlertFact::OfferOutage { offer: "bfl/flux-2-pro".to_owned() },
    }
}

#[tokio::test]
async fn a_comparison_is_found_again_as_it_was_told() {
    let store = store();
    let all: Vec<NewReconciliation> =
        ["bfl", "fal", "bfl", "bfl"].iter().zip(1..).map(|(name, second)| comparison(name, second)).collect();
    for one in &all {
        store.add_reconciliation(one.clone(), vec![outage()]).await.unwrap();
    }
    let kept = store.reconciliation(all[1].id).await.unwrap();
    assert_eq!(kept.as_deref(), Some(r#"{"lines":2,"grades":[]}"#));
    assert_eq!(store.reconciliation(ReconciliationId::generate()).await.unwrap(), None);
    let page = |provider: Option<&str>, after: Option<ReconciliationId>| {
        let filter = ReconciliationFilter { provider: provider.map(str::to_owned), after, limit: 2 };
        store.reconciliations(filter)
    };
    let ids = |page: &ReconciliationPage| page.reconciliations.iter().map(|one| one.id).collect::<Vec<_>>();
    let first = page(Some("bfl"), None).await.unwrap();
    assert_eq!((ids(&first), first.has_more), (vec![all[3].id, all[2].id], true));
    let newest = &first.reconciliations[0];
    assert_eq!((newest.at, newest.from, newest.to), (at(4), at(0), at(100)));
    assert_eq!((newest.actor.as_str(), newest.summary_json.as_str()), ("gateway", r#"{"lines":4}"#));
    let second = page(Some("bfl"), Some(all[2].id)).await.unwrap();
    assert_eq!((ids(&second), second.has_more), (vec![all[0].id], false));
    assert_eq!(ids(&page(None, None).await.unwrap()).len(), 2);
    let unknown = page(None, Some(ReconciliationId::generate())).await;
    assert!(matches!(unknown, Err(StoreError::Invalid(_))), "{unknown:?}");
    let alerts = store.alerts(AlertFilter { limit: 10, ..AlertFilter::default() }).await.unwrap();
    assert_eq!(alerts.alerts.len(), 1, "an alert is raised once");
    let audit = store.audit(AuditFilter { limit: 10, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(audit.changes.len(), 4);
    assert_eq!(audit.changes[0].action, "reconciliation.create");
}
