//! Upper case as NTFS has it: the table of its volumes (`$UpCase`), by rule.
//!
//! It maps one 16-bit unit to one, and is the simple mapping of Unicode 5.0 where that leads there and back (`µ`, `ı`, `ſ`
//! and the title case letters stay what they are), with the final sigma. Letters that Unicode got later are left alone: to
//! Windows they have no case. (Where the table maps a pair the other way round, as Ⱥ, the pair is one all the same.)

/// Those whose upper case is one character to Unicode only in the simple mapping, and how far away it is.
fn of_greek_with_iota(c: char) -> Option<u32> {
    match c {
        '\u{1F80}'..='\u{1F87}' | '\u{1F90}'..='\u{1F97}' | '\u{1FA0}'..='\u{1FA7}' => Some(8),
        '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => Some(9),
        _ => None,
    }
}

/// Upper case letters that are younger than the table.
fn is_young(upper: char) -> bool {
    matches!(
        upper,
        '\u{370}' | '\u{372}' | '\u{376}' | '\u{37F}' | '\u{3CF}' | '\u{10C7}' | '\u{10CD}' | '\u{2C2F}'
            | '\u{514}'..='\u{52F}'
            | '\u{13A0}'..='\u{13FF}'
            | '\u{1C80}'..='\u{1CBF}'
            | '\u{1EFA}'..='\u{1EFF}'
            | '\u{2C6D}'..='\u{2C72}'
            | '\u{2C7E}'..='\u{2C7F}'
            | '\u{2CEB}'..='\u{2CFF}'
            | '\u{A640}'..='\u{ABFF}'
    )
}

pub fn upcase(c: char) -> char {
    if c.is_ascii() {
        return c.to_ascii_uppercase();
    }
    if c > '\u{FFFF}' {
        return c;
    }
    if c == '\u{3C2}' {
        return '\u{3A3}';
    }
    if let Some(distance) = of_greek_with_iota(c) {
        return char::from_u32(c as u32 + distance).unwrap_or(c);
    }
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(upper), None) if upper != c && !is_young(upper) && upper.to_lowercase().eq([c]) => upper,
        _ => c,
    }
}

/// Equal but for case.
pub fn same_name(a: &str, b: &str) -> bool {
    a == b || a.chars().map(upcase).eq(b.chars().map(upcase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_with_two_cases() {
        for (lower, upper) in [
            ("a", "A"),
            ("éöñ", "ÉÖÑ"),
            ("ÿ", "Ÿ"),
            ("œž", "ŒŽ"),
            ("αβγς", "ΑΒΓΣ"),
            ("ά", "Ά"),
            ("жщю", "ЖЩЮ"),
            ("ѓ", "Ѓ"),
            ("ա", "Ա"),
            ("ḁỳ", "ḀỲ"),
            ("ᾀᾳῃῳ", "ᾈᾼῌῼ"),
            ("ⓐ", "Ⓐ"),
            ("ａ", "Ａ"),
            ("ⅳ", "Ⅳ"),
            ("ǆǉ", "ǄǇ"),
            ("ƀ", "Ƀ"),
        ] {
            assert_eq!(lower.chars().map(upcase).collect::<String>(), upper);
            assert_eq!(upper.chars().map(upcase).collect::<String>(), upper);
            assert!(same_name(lower, upper));
        }
    }

    #[test]
    fn letters_without() {
        for c in ['ß', 'ı', 'İ', 'ſ', 'µ', 'ŉ', 'ǅ', 'ϐ', 'ᲀ', 'ა', 'ꙁ', 'ꭰ', '\u{345}', '漢', '\u{10428}']
        {
            assert_eq!(upcase(c), c, "{c:?}");
        }
    }

    /// Counted in the table of Windows (since Vista).
    #[test]
    fn as_many_as_in_the_table() {
        let mapped = ('\0'..='\u{FFFF}').filter(|&c| upcase(c) != c).count();
        assert_eq!(mapped, 874);
        for c in '\0'..='\u{FFFF}' {
            assert_eq!(upcase(upcase(c)), upcase(c), "{c:?}");
        }
    }
}
