//! Patterns of filters: a small part of regular expressions, read without trust.

/// The part of regular expressions that filters are written with: `^web-.*$`. Anything without signs is a part of a name.
#[derive(Debug, Clone)]
pub struct Pattern {
    from_start: bool,
    to_end: bool,
    atoms: Vec<(Atom, Repeat)>,
}

#[derive(Debug, Clone, Copy)]
enum Atom {
    Any,
    One(char),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Once,
    Maybe,
    Any,
    Some,
}

impl Pattern {
    /// Reads a pattern; none for what is none, or has more than this part.
    pub fn parse(text: &str) -> Option<Self> {
        let (from_start, text) = text.strip_prefix('^').map_or((false, text), |rest| (true, rest));
        let mut atoms: Vec<(Atom, Repeat)> = Vec::new();
        let mut letters = text.chars().peekable();
        let mut to_end = false;
        while let Some(c) = letters.next() {
            let repeat = match c {
                '*' => Repeat::Any,
                '+' => Repeat::Some,
                '?' => Repeat::Maybe,
                _ => Repeat::Once,
            };
            if repeat != Repeat::Once {
                let last = atoms.last_mut().filter(|(_, known)| *known == Repeat::Once)?;
                last.1 = repeat;
                continue;
            }
            match c {
                '$' if letters.peek().is_none() => to_end = true,
                '.' => atoms.push((Atom::Any, Repeat::Once)),
                '\\' => {
                    let escaped = letters.next().filter(|c| !c.is_alphanumeric())?;
                    atoms.push((Atom::One(escaped), Repeat::Once));
                }
                '^' | '$' | '(' | ')' | '[' | ']' | '{' | '}' | '|' => return None,
                other => atoms.push((Atom::One(other), Repeat::Once)),
            }
        }
        Some(Self { from_start, to_end, atoms })
    }

    /// Whether it is found in a text. Takes time of the product of both lengths.
    pub fn is_in(&self, text: &str) -> bool {
        let end = self.atoms.len();
        // Those places in the pattern that can have been reached, with every letter.
        let mut reached = vec![false; end + 1];
        reached[0] = true;
        self.skip(&mut reached);
        if reached[end] && !self.to_end {
            return true;
        }
        for c in text.chars() {
            let mut next = vec![false; end + 1];
            next[0] = !self.from_start;
            for (place, (atom, repeat)) in self.atoms.iter().enumerate() {
                let fits = matches!(atom, Atom::Any) || matches!(atom, Atom::One(one) if *one == c);
                if reached[place] && fits {
                    next[place + 1] = true;
                    next[place] |= matches!(repeat, Repeat::Any | Repeat::Some);
                }
            }
            self.skip(&mut next);
            reached = next;
            if reached[end] && !self.to_end {
                return true;
            }
        }
        reached[end]
    }

    fn skip(&self, reached: &mut [bool]) {
        for (place, (_, repeat)) in self.atoms.iter().enumerate() {
            if reached[place] && matches!(repeat, Repeat::Any | Repeat::Maybe) {
                reached[place + 1] = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns() {
        fn check(pattern: &str, text: &str, expected: bool) {
            let read = Pattern::parse(pattern).unwrap_or_else(|| panic!("{pattern} is a pattern"));
            assert_eq!(read.is_in(text), expected, "{pattern} in {text}");
        }
        check("web", "my-web-1", true);
        check("web", "wbe", false);
        check("^web", "my-web", false);
        check("^web", "web-1", true);
        check("web$", "my-web", true);
        check("web$", "web-1", false);
        check("^web$", "web", true);
        check("^web$", "web1", false);
        check("^w.b$", "wxb", true);
        check("^w.*1$", "web-1", true);
        check("^w.*1$", "web-2", false);
        check("^a+b?c*$", "aac", true);
        check("^a+b?c*$", "bc", false);
        check("a\\.b", "a.b", true);
        check("a\\.b", "axb", false);
        check("", "anything", true);
        check("$", "anything", true);
        check("^$", "x", false);
        check(&".*".repeat(100), &"x".repeat(1000), true);
        for bad in ["*", "a**", "(a)", "[a]", "a|b", "a{2}", "a$b", "a^b", "\\", "\\d"] {
            assert!(Pattern::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(pattern in "(?s)[a-c.*+?^$\\\\]{0,12}|.{0,6}", text in "[a-c]{0,12}") {
            if let Some(pattern) = Pattern::parse(&pattern) {
                let _either = pattern.is_in(&text);
            }
        }

        #[test]
        fn a_part_is_found(before in "[a-z]{0,5}", part in "[a-z]{0,5}", after in "[a-z]{0,5}") {
            let pattern = Pattern::parse(&part).expect("letters");
            let text = format!("{before}{part}{after}");
            prop_assert!(pattern.is_in(&text));
        }
    }
}
