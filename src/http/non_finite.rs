//! JSON as Python writes it: with `NaN`, `Infinity` and `-Infinity`, which JSON does not have.

use std::borrow::Cow;

/// Marks a request whose answer may be such JSON.
#[derive(Debug, Clone, Copy)]
pub struct MayBeNonFinite;

const TOKENS: [&[u8]; 3] = [b"NaN", b"-Infinity", b"Infinity"];

/// Returns the document with `null` in place of numbers that are not finite. Texts stay as they are.
pub fn without_non_finite(json: &[u8]) -> Cow<'_, [u8]> {
    let mut clean: Option<Vec<u8>> = None;
    let (mut at, mut is_text) = (0, false);
    while let Some(&byte) = json.get(at) {
        let token = TOKENS.iter().find(|token| !is_text && json[at..].starts_with(token));
        if let Some(token) = token {
            clean.get_or_insert_with(|| json[..at].to_vec()).extend(b"null");
            at += token.len();
            continue;
        }
        let length = if is_text && byte == b'\\' { 2 } else { 1 };
        is_text ^= byte == b'"';
        let end = (at + length).min(json.len());
        if let Some(clean) = &mut clean {
            clean.extend(&json[at..end]);
        }
        at = end;
    }
    clean.map_or(Cow::Borrowed(json), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_numbers_are_replaced() {
        let text = br#"{"NaN":[NaN,-Infinity, Infinity,-1],"a\"NaN":"Infinity \\"}"#;
        let clean = br#"{"NaN":[null,null, null,-1],"a\"NaN":"Infinity \\"}"#;
        assert_eq!(without_non_finite(text), clean.as_slice());
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(text in any::<String>(), number in any::<f64>()) {
            let json = serde_json::json!({ text.clone(): [text, number] }).to_string();
            prop_assert_eq!(without_non_finite(json.as_bytes()), json.as_bytes());
        }

        #[test]
        fn anything_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            without_non_finite(&bytes);
        }
    }
}
