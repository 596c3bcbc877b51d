//! A book cut by feed and put together again, for whoever keeps it; and two books as one.

use super::{FeedBook, POINTS_MAX, PricePoint};
use std::collections::BTreeMap;

impl FeedBook {
    /// The book by feed: what each told last, and how it is doing. Under the empty name is what belongs to none.
    pub fn parts(&self) -> BTreeMap<String, FeedBook> {
        let mut parts: BTreeMap<String, FeedBook> = BTreeMap::new();
        let mut part = |feed: &str, fill: &mut dyn FnMut(&mut FeedBook)| {
            fill(parts.entry(feed.to_owned()).or_default());
        };
        part("", &mut |part| part.editions.clone_from(&self.editions));
        for (line, watch) in &self.watches {
            part(&watch.feed, &mut |part| {
                part.watches.insert(line.clone(), watch.clone());
            });
        }
        for (offer, watch) in &self.ends {
            part(&watch.feed, &mut |part| {
                part.ends.insert(offer.clone(), watch.clone());
            });
        }
        for (feed, status) in &self.feeds {
            part(feed, &mut |part| {
                part.feeds.insert(feed.clone(), status.clone());
            });
        }
        parts
    }

    /// The book of these parts.
    pub fn of_parts(parts: impl IntoIterator<Item = FeedBook>) -> FeedBook {
        let mut book = FeedBook::default();
        for FeedBook { watches, ends, feeds, editions } in parts {
            book.watches.extend(watches);
            book.ends.extend(ends);
            book.feeds.extend(feeds);
            book.editions.extend(editions);
        }
        book
    }

    /// Takes in what another book knows beyond this one, such as that of a gateway that kept its own: every price
    /// that was believed, in the order in which it was, so that the last belief of both is in force; and what is held
    /// where nothing is known here.
    pub fn take_over(&mut self, other: FeedBook) {
        for (line, theirs) in other.watches {
            let Some(ours) = self.watches.get_mut(&line) else {
                self.watches.insert(line, theirs);
                continue;
            };
            let strange: Vec<PricePoint> =
                theirs.points.into_iter().filter(|point| !ours.points.contains(point)).collect();
            ours.points.extend(strange);
            ours.points.sort_by_key(|point| point.believed);
            let surplus = ours.points.len().saturating_sub(POINTS_MAX);
            ours.points.drain(..surplus);
        }
        for (offer, theirs) in other.ends {
            self.ends.entry(offer).or_insert(theirs);
        }
        for (feed, theirs) in other.feeds {
            self.feeds.entry(feed).or_insert(theirs);
        }
        for (digest, at) in other.editions {
            self.editions.entry(digest).or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Guard, Held, Quoted, Watch};
    use super::*;
    use crate::feed::{Base, Observation, Target, observe};
    use jiff::Timestamp;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + second).unwrap()
    }

    fn quote(usd: &str) -> Quoted {
        Quoted { usd: usd.parse().unwrap(), per: 1 }
    }

    fn book(feed: &str, line: &str, usd: &str, second: i64) -> FeedBook {
        let mut book = FeedBook::default();
        let target = Target { offer: "bfl/flux-1-dev".to_owned(), line: line.to_owned() };
        let mut watch = Watch { feed: feed.to_owned(), ..Watch::default() };
        let seen = Observation { target: target.clone(), quote: quote(usd), at: at(second) };
        let base = Base { quote: quote("0.02"), since: None };
        observe(&mut watch, base, &seen, at(second), Guard::default());
        book.watches.insert(target.to_string(), watch);
        book.note_success(feed, at(second));
        book.note_edition(&format!("digest-{usd}"), at(second));
        book
    }

    #[test]
    fn a_book_is_the_sum_of_its_parts() {
        let mut whole = book("one", "picture", "0.03", 1);
        whole.take_over(book("two", "other", "0.01", 2));
        let parts = whole.parts();
        assert_eq!(parts.keys().map(String::as_str).collect::<Vec<_>>(), ["", "one", "two"]);
        assert_eq!(parts["two"].watches.len(), 1);
        assert_eq!(parts[""].editions.len(), 2);
        assert_eq!(FeedBook::of_parts(parts.into_values()), whole);
        assert_eq!(FeedBook::default().parts().len(), 1);
    }

    #[test]
    fn of_two_books_the_last_belief_is_in_force_and_none_is_lost() {
        let (older, newer) = (book("one", "picture", "0.03", 1), book("one", "picture", "0.05", 9));
        for (mut ours, theirs) in [(older.clone(), newer.clone()), (newer, older)] {
            ours.take_over(theirs.clone());
            let points = &ours.watches["bfl/flux-1-dev picture"].points;
            let usd: Vec<String> = points.iter().map(|point| point.quote.usd.to_string()).collect();
            assert_eq!(usd, ["0.0300000000", "0.0500000000"]);
            assert_eq!(ours.editions.len(), 2);
            let once = ours.clone();
            ours.take_over(theirs);
            assert_eq!(ours, once, "the same a second time is nothing new");
        }
    }

    #[test]
    fn what_is_held_in_a_book_that_is_taken_over_waits_on() {
        let theirs = book("one", "picture", "2", 3);
        let held = |book: &FeedBook| -> Option<Held> {
            book.watches.get("bfl/flux-1-dev picture").and_then(|watch| watch.held.clone())
        };
        assert!(held(&theirs).is_some());
        let mut ours = FeedBook::default();
        ours.take_over(theirs.clone());
        assert_eq!(held(&ours), held(&theirs));
    }
}
