//! How deep a made picture is looked at before a client gets it.

/// A route may ask for more than the gateway does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Header, end marker and plausibility; decodes only what looks blank.
    #[default]
    Header,
    /// Decodes every picture.
    Pixels,
}

impl Depth {
    /// The depth that settings call `text`, if they do.
    pub fn from_word(text: &str) -> Option<Depth> {
        match text {
            "header" => Some(Depth::Header),
            "pixels" => Some(Depth::Pixels),
            _ => None,
        }
    }
}
