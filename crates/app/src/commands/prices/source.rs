//! Where commands that only show prices take them from: the catalogue's files, and what feeds have told the gateway
//! of these books, also where the settings at hand name no feed. They look, and change nothing.

use crate::config::{Config, Environment, Place};
use crate::failure::{Failure, Result};
use crate::output;
use gallerist_engine::insight::{look_back, taught};
use gallerist_pricing::Offer;
use gallerist_pricing::feed::FeedBook;
use gallerist_routing::Insight;
use gallerist_store::peek_experience;
use jiff::Timestamp;
use serde::Serialize;

/// Names of feeds that are listed; more are counted.
const NAMES_MAX: usize = 4;

/// Flags of the commands that show prices.
#[derive(Clone, Debug, clap::Args)]
pub struct PriceSource {
    /// Leave out what the gateway of these books was told by price feeds, and what its books teach
    #[arg(long)]
    catalogue_only: bool,
    #[command(flatten)]
    place: Place,
}

impl PriceSource {
    /// The settings with the prices; what a person should know of them is said beside the result.
    ///
    /// # Errors
    /// Mistakes of the settings.
    pub fn load(&self) -> Result<Config> {
        let config = Config::load_to_read(&self.place, &Environment::of_process(), self.catalogue_only)?;
        output::notes(&config.remarks);
        Ok(config)
    }
}

impl PriceSource {
    /// What the books teach about these offers, for their order: credits that were bought, and what past charges tell.
    /// Nothing where there are no books.
    pub fn insight(&self, config: &Config, offers: &[Offer]) -> Insight {
        if self.catalogue_only {
            return Insight::default();
        }
        let (back, now) = (look_back(offers), Timestamp::now());
        match peek_experience(&config.data_dir, config.store_url.as_ref(), &back, now) {
            Ok(experience) => taught(&experience.unwrap_or_default(), offers, now),
            Err(error) => {
                let failure = Failure::because("what the books teach cannot be read", &error);
                output::remark(format!("{}; offers are ordered without it", failure.message));
                Insight::default()
            }
        }
    }
}

/// A feed whose prices are among those shown, in the fields of `GET /v1/prices`.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct FeedShown<'a> {
    name: &'a str,
    succeeded_at: Option<Timestamp>,
    stale_since: Option<Timestamp>,
    fault: Option<&'a str>,
}

/// The feeds of a book, by name.
pub fn shown(book: &FeedBook) -> Vec<FeedShown<'_>> {
    let feeds = book.feeds.iter().map(|(name, status)| FeedShown {
        name,
        succeeded_at: status.succeeded,
        stale_since: status.stale_since,
        fault: status.fault.as_deref(),
    });
    feeds.collect()
}

/// One line for people: that prices of feeds are among those shown, and as of when; absent where no feed has told
/// anything.
pub fn told(book: &FeedBook, now: Timestamp) -> Option<String> {
    let told = book.feeds.iter().filter(|(_, status)| status.succeeded.is_some());
    let names: Vec<&str> = told.clone().map(|(name, _)| name.as_str()).collect();
    let newest = told.clone().filter_map(|(_, status)| status.succeeded).max()?;
    let named = match names.as_slice() {
        [one] => format!("the feed {one}"),
        some if some.len() <= NAMES_MAX => format!("the feeds {}", some.join(", ")),
        many => format!("{} feeds", many.len()),
    };
    let abandoned = told.clone().all(|(_, status)| status.is_abandoned(now));
    let since = if abandoned { "; nobody has asked since" } else { "" };
    let silent = told.filter(|(_, status)| status.stale_since.is_some());
    let silent: Vec<&str> = silent.map(|(name, _)| name.as_str()).collect();
    let stale = match silent.is_empty() {
        true => String::new(),
        false => format!("; silent too long: {}", silent.join(", ")),
    };
    Some(format!(
        "With what {named} told until {}{since}{stale} (--catalogue-only leaves it out).",
        newest.strftime("%Y-%m-%d %H:%M:%S UTC")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_pricing::feed::FeedStatus;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_000_000 + 60 * minute).unwrap()
    }

    fn book(feeds: &[(&str, FeedStatus)]) -> FeedBook {
        let feeds = feeds.iter().map(|(name, status)| ((*name).to_owned(), status.clone()));
        FeedBook { feeds: feeds.collect(), ..FeedBook::default() }
    }

    /// Asked at this minute, answered, and to be asked again ten minutes later.
    fn answered(minute: i64) -> FeedStatus {
        let asked = Some(at(minute));
        FeedStatus { succeeded: asked, tried: asked, due: Some(at(minute + 10)), ..FeedStatus::default() }
    }

    #[test]
    fn nothing_is_said_of_feeds_that_told_nothing() {
        let tried = FeedStatus { first_tried: Some(at(0)), ..FeedStatus::default() };
        assert_eq!(told(&FeedBook::default(), at(0)), None);
        assert_eq!(told(&book(&[("spot", tried.clone())]), at(0)), None);
        assert_eq!(shown(&book(&[("spot", tried)]))[0].succeeded_at, None, "scripts see that it is there");
    }

    #[test]
    fn the_newest_answer_is_named_and_whether_anybody_still_asks() {
        let text = told(&book(&[("fal", answered(3)), ("spot", answered(5))]), at(6)).unwrap();
        assert_eq!(
            text,
            "With what the feeds fal, spot told until 2026-11-18 11:11:40 UTC (--catalogue-only leaves it out)."
        );
        let later = told(&book(&[("spot", answered(5))]), at(46)).unwrap();
        assert!(
            later.contains("the feed spot told") && later.contains("UTC; nobody has asked since"),
            "{later}"
        );
        let stale = FeedStatus { stale_since: Some(at(6)), ..answered(5) };
        let silent = told(&book(&[("spot", stale), ("fal", answered(7))]), at(7)).unwrap();
        assert!(silent.contains("; silent too long: spot ("), "{silent}");
    }
}
