//! Wildcards of directory queries (MS-FSA 2.1.4.4). What `*.*` and the like mean to DOS programs is translated by
//! the client; here `<` is DOS_STAR, `>` DOS_QM and `"` DOS_DOT. Case is ignored.

use smallvec::SmallVec;

pub use crate::types::same_name;
use crate::types::upcase;

/// An expression, ready to be held against many names.
///
/// ```
/// use smbgate::fsa::expression::Expression;
/// assert!(Expression::new("*.TXT").matches("read.me.txt"));
/// ```
#[derive(Clone, Debug)]
pub struct Expression(Form);

#[derive(Clone, Debug)]
enum Form {
    /// `*`
    Everything,
    /// No wildcard in it.
    Literal(Vec<char>),
    /// `*`, then no wildcard.
    Ending(Vec<char>),
    General(Vec<char>),
}

/// There is a wildcard in it (MS-FSA 2.1.4.3).
pub fn has_wildcard(text: &str) -> bool {
    text.contains(is_wildcard)
}

fn is_wildcard(c: char) -> bool {
    matches!(c, '*' | '?' | '<' | '>' | '"')
}

impl Expression {
    pub fn new(text: &str) -> Expression {
        if text == "*" || text == "*.*" {
            return Expression(Form::Everything);
        }
        let chars: Vec<char> = text.chars().map(upcase).collect();
        Expression(if !has_wildcard(text) {
            Form::Literal(chars)
        } else if chars[0] == '*' && !chars[1..].iter().copied().any(is_wildcard) {
            Form::Ending(chars[1..].to_vec())
        } else {
            Form::General(chars)
        })
    }

    /// Matches whatever the name is.
    pub fn is_everything(&self) -> bool {
        matches!(self.0, Form::Everything)
    }

    /// The one name, but for case, that it matches. None: there are wildcards.
    pub fn literal(&self) -> Option<String> {
        match &self.0 {
            Form::Literal(chars) => Some(chars.iter().collect()),
            _ => None,
        }
    }

    pub fn matches(&self, name: &str) -> bool {
        match &self.0 {
            Form::Everything => !name.is_empty(),
            Form::Literal(chars) => name.chars().map(upcase).eq(chars.iter().copied()),
            Form::Ending(tail) => {
                let mut name = name.chars().rev();
                tail.iter().rev().all(|&c| name.next().map(upcase) == Some(c))
            }
            Form::General(chars) => !name.is_empty() && general(chars, name),
        }
    }
}

/// A set of positions in an expression.
struct Positions(SmallVec<[u64; 4]>);

impl Positions {
    fn none(expression: &[char]) -> Positions {
        Positions(SmallVec::from_elem(0, expression.len() / 64 + 1))
    }

    fn add(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    fn has(&self, at: usize) -> bool {
        self.0[at / 64] >> (at % 64) & 1 == 1
    }
}

/// All ways to match at once, one character of the name after the other: time is name times expression, never more.
fn general(expression: &[char], name: &str) -> bool {
    let last_dot = name.rfind('.');
    let mut here = Positions::none(expression);
    here.add(0);
    for (at, c) in name.char_indices() {
        let c = upcase(c);
        let mut next = Positions::none(expression);
        let mut alive = false;
        for (p, &e) in expression.iter().enumerate() {
            if !here.has(p) {
                continue;
            }
            // Whether it eats the character and stays, eats it and goes on, or goes on without it.
            let (stays, eats, skips) = match e {
                '*' => (true, false, true),
                // DOS_STAR eats all but the last dot of the name.
                '<' => (Some(at) != last_dot, false, true),
                // DOS_QM eats no dot; before one it may be missing.
                '>' => (false, c != '.', c == '.'),
                '"' => (false, c == '.', false),
                '?' => (false, true, false),
                _ => (false, e == c, false),
            };
            if stays {
                next.add(p);
            }
            if eats {
                next.add(p + 1);
            }
            if skips {
                here.add(p + 1);
            }
            alive |= stays || eats;
        }
        if !alive {
            return false;
        }
        here = next;
    }
    // At the end of the name the rest of the expression must be able to match nothing.
    let rest = expression.iter().rposition(|e| !matches!(e, '*' | '<' | '>' | '"')).map_or(0, |at| at + 1);
    (rest..=expression.len()).any(|p| here.has(p))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, name: &str) -> bool {
        Expression::new(expression).matches(name)
    }

    #[test]
    fn plain_wildcards() {
        for (expression, name, expected) in [
            ("*", "a.b", true),
            ("*.*", "nodot", true),
            ("ABC", "abc", true),
            ("abc", "abcd", false),
            ("*.txt", "A.TXT", true),
            ("*.txt", "txt", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "axxbyy", false),
            ("?", "", false),
            ("", "", true),
            ("", "a", false),
            ("ÄÖ*", "äöü", true),
            ("*a*", "bab", true),
            ("**", "x", true),
        ] {
            assert_eq!(matches(expression, name), expected, "{expression} {name}");
        }
    }

    #[test]
    fn dos_wildcards() {
        for (expression, name, expected) in [
            // `dir *.` becomes `<` and means: without an extension.
            ("<", "abc", true),
            ("<.abc", "x.y.abc", true),
            ("<.abc", "abc", false),
            ("<\"*", "abc", true),
            ("<\"*", "a.b.c", true),
            ("a<.b", "ax.y.b", true),
            // `dir ???.txt` becomes `>>>.txt`.
            (">>>.txt", "ab.txt", true),
            (">>>.txt", "abcd.txt", false),
            (">>>.txt", "abc.txt", true),
            (">>>", "", false),
            ("a>>>", "a", true),
            ("a>>>", "ab.c", false),
            ("abc\"", "abc", true),
            ("abc\"", "abc.", true),
            ("abc\"def", "abcdef", false),
            ("abc\"def", "abc.def", true),
            // The last dot is not for DOS_STAR.
            ("<", "a.b", false),
            ("<b", "a.b", false),
            ("<", "a.b.c", false),
            ("<.b", "a.b", true),
        ] {
            assert_eq!(matches(expression, name), expected, "{expression} {name}");
        }
    }

    #[test]
    fn no_blow_up() {
        let expression = Expression::new(&"*a".repeat(120));
        assert!(!expression.matches(&"a".repeat(119)));
        assert!(!expression.matches(&format!("{}b", "a".repeat(10_000))));
        assert!(Expression::new(&"<a".repeat(120)).matches(&"a".repeat(255)));
    }
}
