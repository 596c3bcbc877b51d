//! A sum of nothing.

use super::super::*;
use crate::testing::now;
use gallerist_domain::{ImageCall, Size};

/// A price that comes to nothing is a hole in the sheet, unless the sheet gives it away in so many words.
#[test]
fn nothing_is_no_price_unless_it_is_given_away() {
    let files = vec![("shop.toml".to_owned(), include_str!("../rounding.toml").to_owned())];
    let catalogue = crate::Catalogue::from_files(files).expect("it is sound");
    let sheet = PriceSheet::clone(&catalogue.providers[0].models[0].sheet);
    let mut call = ImageCall::example("easel", Size::new(1024, 1024));
    call.tier = "batch".to_owned();
    let of = |change: &dyn Fn(&mut PriceSheet)| {
        let mut changed = sheet.clone();
        change(&mut changed);
        bounds(&changed, &Facts::of(&call), now()).map(|bounds| bounds.max).map_err(|why| why.to_string())
    };
    let nothing = Err(Unpriced::Nothing.to_string());
    // A quarter of a tick; and a slice that the only picture does not reach.
    assert_eq!(of(&|sheet| sheet.lines.truncate(1)), nothing);
    assert_eq!(of(&|sheet| sheet.lines.iter_mut().for_each(|line| line.from = 5)), nothing);
    let free = |line: &mut PriceLine| {
        let nothing = gallerist_domain::Price { amount: Ticks::ZERO, per: 1 };
        (line.price, line.price_expected, line.price_max) = (nothing, nothing, nothing);
    };
    assert_eq!(of(&|sheet| sheet.lines.iter_mut().for_each(free)), Ok(Ticks::ZERO));
    assert_eq!(of(&|sheet| sheet.factors[0].numerator_max = 0), Ok(Ticks::ZERO));
}
