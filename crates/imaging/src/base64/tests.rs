use super::*;
use proptest::prelude::*;

/// Cuts `bytes` into frames of the given lengths, repeated.
fn cut(bytes: &[u8], lengths: &[usize]) -> Chunks {
    let mut rest = bytes;
    let mut out = Chunks::new();
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (part, left) = rest.split_at((*length).clamp(1, rest.len()));
        out.push(Bytes::copy_from_slice(part));
        rest = left;
    }
    out
}

#[test]
fn knows_the_vectors_of_the_rfc() {
    // RFC 4648, section 10.
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("foobar", "Zm9vYmFy"),
    ] {
        assert_eq!(encode_base64(&cut(bytes.as_bytes(), &[1])), text);
        assert_eq!(decode_base64(&cut(text.as_bytes(), &[1])), Ok(bytes.as_bytes().to_vec()));
    }
}

#[test]
fn refuses_what_a_client_could_not_decode() {
    for text in ["Zg", "Zg=", "Zm9vYg==Zm9v", "Zm9v\nZm9", "Zm9-", "====", "Zm9=Zm9v"] {
        assert!(decode_base64(&cut(text.as_bytes(), &[3])).is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn frames_make_no_difference(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        lengths in prop::collection::vec(1_usize..300, 1..5),
        from in 0_usize..2_100,
        count in 0_usize..900,
    ) {
        let text = encode_base64(&cut(&bytes, &lengths));
        prop_assert_eq!(&text, &encode_base64(&Chunks::from(bytes.clone())));
        let held = cut(&text, &lengths);
        prop_assert_eq!(decode_base64(&held), Ok(bytes.clone()));
        prop_assert_eq!(decoded_length(&held), Ok(bytes.len()));
        let (start, end) = (from.min(bytes.len()), (from + count).min(bytes.len()));
        prop_assert_eq!(decode_range(&held, from, count), Ok(bytes[start..end].to_vec()));
    }

    #[test]
    fn any_text_is_decoded_or_refused(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_base64(&cut(&text, &[7]));
        let _ = decode_range(&cut(&text, &[7]), 5, 30);
    }
}
