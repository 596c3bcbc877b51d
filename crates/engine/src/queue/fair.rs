//! The order of a fair queue: start-time fair queueing between parties, first in first out within one.
//!
//! Each party has a tag, the service it has had in virtual time; the lowest tag is served next and its tag
//! grows by what that costs. A party that comes new starts at the present virtual time, so it neither pays for
//! having been away nor is owed for it. While two parties wait, what they have been served differs by at most
//! one item of each; nobody waits for ever. It knows no clock and no limits.

use std::collections::{BTreeMap, VecDeque};

/// A queue over parties `P` of items `T`.
pub(crate) struct FairQueue<P, T> {
    flows: BTreeMap<P, Flow<T>>,
    /// The tag of what was served last.
    virtual_now: u64,
    arrivals: u64,
    len: usize,
}

struct Flow<T> {
    tag: u64,
    items: VecDeque<Item<T>>,
}

struct Item<T> {
    cost: u32,
    arrival: u64,
    item: T,
}

impl<P: Ord + Clone, T> FairQueue<P, T> {
    pub(crate) fn new() -> FairQueue<P, T> {
        FairQueue { flows: BTreeMap::new(), virtual_now: 0, arrivals: 0, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends an item; one that costs nothing counts as 1, so that it cannot be repeated for ever.
    pub(crate) fn push(&mut self, party: P, cost: u32, item: T) {
        let virtual_now = self.virtual_now;
        let flow = self.flows.entry(party).or_insert(Flow { tag: 0, items: VecDeque::new() });
        if flow.items.is_empty() {
            flow.tag = flow.tag.max(virtual_now);
        }
        flow.items.push_back(Item { cost: cost.max(1), arrival: self.arrivals, item });
        self.arrivals += 1;
        self.len += 1;
    }

    /// The next one.
    pub(crate) fn head(&self) -> Option<&T> {
        let (_, flow) = self.next_flow()?;
        flow.items.front().map(|first| &first.item)
    }

    /// Takes the next one.
    pub(crate) fn pop(&mut self) -> Option<T> {
        let party = self.next_flow()?.0.clone();
        let flow = self.flows.get_mut(&party)?;
        let first = flow.items.pop_front()?;
        self.virtual_now = flow.tag;
        flow.tag += u64::from(first.cost);
        self.shrink(1);
        Some(first.item)
    }

    /// Takes out items that nobody waits for any more.
    pub(crate) fn remove(&mut self, is_it: impl Fn(&T) -> bool) {
        let mut removed = 0;
        for flow in self.flows.values_mut() {
            let before = flow.items.len();
            flow.items.retain(|item| !is_it(&item.item));
            removed += before - flow.items.len();
        }
        self.shrink(removed);
    }

    /// Makes room for one more of `party` by taking out the newest item of the party with the most, if that
    /// has more than `party` would have then. `None` where there is no such party.
    pub(crate) fn push_out_for(&mut self, party: &P) -> Option<T> {
        let own = self.flows.get(party).map_or(0, |flow| flow.items.len());
        let longest = self.flows.values_mut().max_by_key(|flow| flow.items.len())?;
        if longest.items.len() <= own + 1 {
            return None;
        }
        let newest = longest.items.pop_back()?;
        self.shrink(1);
        Some(newest.item)
    }

    /// All items in the order in which they would be served if nothing came.
    pub(crate) fn order(&self) -> Vec<&T> {
        let mut flows: Vec<(u64, usize, &Flow<T>)> =
            self.flows.values().map(|flow| (flow.tag, 0, flow)).collect();
        let mut order = Vec::with_capacity(self.len);
        loop {
            let waiting = flows.iter_mut().filter(|(_, served, flow)| *served < flow.items.len());
            let next = waiting.min_by_key(|(tag, served, flow)| (*tag, flow.items[*served].arrival));
            let Some((tag, served, flow)) = next else { return order };
            let item = &flow.items[*served];
            order.push(&item.item);
            *tag += u64::from(item.cost);
            *served += 1;
        }
    }

    /// The lowest tag; among equals whoever came first.
    fn next_flow(&self) -> Option<(&P, &Flow<T>)> {
        let waiting = self.flows.iter().filter_map(|(party, flow)| Some((party, flow, flow.items.front()?)));
        let next = waiting.min_by_key(|(_, flow, first)| (flow.tag, first.arrival));
        next.map(|(party, flow, _)| (party, flow))
    }

    /// Forgets parties whose service no longer matters: while nobody waits nobody is served less than another.
    fn shrink(&mut self, removed: usize) {
        self.len -= removed;
        if self.len == 0 {
            self.flows.clear();
        }
        let virtual_now = self.virtual_now;
        self.flows.retain(|_, flow| !flow.items.is_empty() || flow.tag > virtual_now);
    }
}

#[cfg(test)]
mod tests;
