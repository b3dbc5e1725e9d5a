//! What is wrong with a configuration, said so that one can mend it.

use std::fmt;
use std::path::{Path, PathBuf};

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Works, and this version does not act on it yet.
    Note,
    /// Works, and may not be what was meant.
    Warning,
    /// The server does not start with it.
    Error,
}

/// Where in a file (or on the command line) a problem stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// Line and column count from 1; the column counts characters.
    File { path: PathBuf, line: usize, column: usize },
    /// The file as a whole.
    WholeFile(PathBuf),
    /// A flag as it was typed.
    Flag(String),
    /// A default that nobody wrote down.
    Nowhere,
}

/// One thing that is wrong or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    pub spot: Spot,
    pub message: String,
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spot::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Spot::WholeFile(path) => write!(f, "{}", path.display()),
            Spot::Flag(flag) => f.write_str(flag),
            Spot::Nowhere => Ok(()),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.spot != Spot::Nowhere {
            write!(f, "{}: ", self.spot)?;
        }
        match self.severity {
            Severity::Note => write!(f, "note: {}", self.message),
            Severity::Warning => write!(f, "warning: {}", self.message),
            Severity::Error => write!(f, "error: {}", self.message),
        }
    }
}

/// Every problem found in one go, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn push(&mut self, severity: Severity, spot: Spot, message: impl Into<String>) {
        self.0.push(Problem { severity, spot, message: message.into() });
    }

    /// Puts those of a file into the order of the file, before all others.
    pub(super) fn sort(&mut self) {
        self.0.sort_by_key(|problem| match problem.spot {
            Spot::File { line, column, .. } => (line, column),
            _ => (usize::MAX, 0),
        });
    }

    /// Whether the server must not start.
    pub fn any_error(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    pub fn errors(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter().filter(|problem| problem.severity == Severity::Error)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

/// Turns byte offsets of one text into [`Spot`]s.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    pub fn spot(&self, offset: usize) -> Spot {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Spot::File { path: self.path.to_path_buf(), line, column }
    }
}

/// The candidate closest to what was typed, if it is close enough to be what was meant.
pub fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let allowed = (typed.chars().count() / 3).clamp(1, 4);
    candidates
        .into_iter()
        .map(|candidate| (distance(&typed, &candidate.to_lowercase()), candidate))
        .filter(|(cost, _)| *cost <= allowed)
        .min_by_key(|(cost, _)| *cost)
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, delete, replace, swap of neighbours) that lead from `a` to `b`.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_a_slip_away_or_none() {
        let keys = ["listen", "name", "max_connections", "min_dialect", "max_dialect"];
        assert_eq!(nearest("lisen", keys), Some("listen"));
        assert_eq!(nearest("Listne", keys), Some("listen"));
        assert_eq!(nearest("max-conections", keys), Some("max_connections"));
        assert_eq!(nearest("max_dialekt", keys), Some("max_dialect"));
        assert_eq!(nearest("workgroup", keys), None);
        assert_eq!(nearest("", keys), None);
    }

    #[test]
    fn spots_count_characters_from_one() {
        let source = Source { path: Path::new("a.toml"), text: "x = 1\nä = \"ß\" y" };
        assert_eq!(source.spot(0).to_string(), "a.toml:1:1");
        assert_eq!(source.spot(source.text.len() - 1).to_string(), "a.toml:2:9");
        assert_eq!(source.spot(7).to_string(), "a.toml:2:1", "inside a character counts as its start");
    }
}
