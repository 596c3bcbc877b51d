//! The known names that lie nearest to one that nobody knows.
//!
//! People write `flux pro`, `Dalle3` and `gpt_image`: case and joints do not count, and a name that holds the
//! other is nearer than its length says.

/// Longest part of an unknown name that is compared; what it came from may be hostile.
const NAME_CHARACTERS_MAX: usize = 80;

/// At most `count` of the known names, the nearest first, each once; names of one distance in their order.
pub fn nearest(name: &str, known: impl IntoIterator<Item = String>, count: usize) -> Vec<String> {
    let plain_name = plain(name);
    let mut ranked: Vec<(usize, String)> = Vec::new();
    for candidate in known {
        if !ranked.iter().any(|(_, existing)| *existing == candidate) {
            ranked.push((distance(&plain_name, &plain(&candidate)), candidate));
        }
    }
    ranked.sort();
    ranked.into_iter().take(count).map(|(_, known)| known).collect()
}

/// The one name that an unknown one is likely a slip of: at most a third of its letters are others.
pub fn slip_of(name: &str, known: impl IntoIterator<Item = String>) -> Option<String> {
    let found = nearest(name, known, 1).into_iter().next()?;
    let (left, right) = (plain(name), plain(&found));
    let letters = left.chars().count().max(right.chars().count());
    (strsim::osa_distance(&left, &right) * 3 <= letters).then_some(found)
}

/// Letters and digits alone, in lower case.
fn plain(name: &str) -> String {
    let letters = name.chars().take(NAME_CHARACTERS_MAX).filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// Edits, swapped neighbours as one; where one holds the other, a quarter of what it holds more.
fn distance(left: &str, right: &str) -> usize {
    let edits = strsim::osa_distance(left, right);
    let holds = !left.is_empty() && !right.is_empty() && (left.contains(right) || right.contains(left));
    if holds { edits.div_ceil(4) } else { edits }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 8] = [
        "auto",
        "dall-e-3",
        "flux-1.1-pro",
        "flux-2-pro",
        "gpt-image-1",
        "gpt-image-2",
        "ideogram-v3",
        "stable-image-ultra",
    ];

    fn first(name: &str) -> String {
        nearest(name, KNOWN.map(str::to_owned), 1).remove(0)
    }

    #[test]
    fn case_and_joints_do_not_count() {
        assert_eq!(first("DALLE3"), "dall-e-3");
        assert_eq!(first("flux 2 pro"), "flux-2-pro");
        assert_eq!(first("GPT_Image_2"), "gpt-image-2");
    }

    #[test]
    fn a_part_of_a_name_finds_the_whole() {
        assert_eq!(first("ideogram"), "ideogram-v3");
        assert_eq!(first("ultra"), "stable-image-ultra");
        assert_eq!(nearest("gpt-image", KNOWN.map(str::to_owned), 2), ["gpt-image-1", "gpt-image-2"]);
    }

    #[test]
    fn swapped_neighbours_are_one_edit() {
        assert_eq!(first("flxu-2-pro"), "flux-2-pro");
        assert_eq!(distance("flxu", "flux"), 1);
    }

    #[test]
    fn a_slip_is_told_from_another_word() {
        let known = || ["size".to_owned(), "quality".to_owned(), "max_cost_usd".to_owned()];
        assert_eq!(slip_of("qualty", known()).as_deref(), Some("quality"));
        assert_eq!(slip_of("maxCostUsd", known()).as_deref(), Some("max_cost_usd"));
        assert_eq!(slip_of("style", known()), None);
    }
}
