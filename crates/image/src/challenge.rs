//! The `WWW-Authenticate` header of a registry (RFC 9110, 11.6.1): which scheme it wants, and where tokens are made.
//!
//! It does not decide whether the realm may be trusted; the registry client does.

/// One challenge of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The challenges of one header that are understood; others are left out.
pub(crate) fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header.trim();
    while !rest.is_empty() {
        let (word, after) = token(rest);
        if word.is_empty() {
            break;
        }
        let after_word = after.trim_start();
        if let Some(value) = after_word.strip_prefix('=') {
            let (value, after) = value_of(value.trim_start());
            if let Some((_, parameters)) = found.last_mut() {
                parameters.push((word.to_ascii_lowercase(), value));
            }
            rest = after;
        } else {
            found.push((word.to_ascii_lowercase(), Vec::new()));
            rest = after;
        }
        rest = rest.trim_start_matches([',', ' ', '\t']);
    }
    found.into_iter().filter_map(understood).collect()
}

fn understood((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let get = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => {
            Some(Challenge::Bearer { realm: get("realm")?, service: get("service"), scope: get("scope") })
        }
        _ => None,
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)));
    text.split_at(end.unwrap_or(text.len()))
}

/// A token or a quoted string with backslash escapes.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = token(text);
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn challenges_are_read() {
        fn check(header: &str, challenges: &[Challenge]) {
            assert_eq!(parse(header), challenges, "{header:?}");
        }
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        check(
            r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#,
            &[bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:a/b:pull,push"),
            )],
        );
        check("Basic realm=\"x\"", &[Challenge::Basic]);
        check("basic", &[Challenge::Basic]);
        check(
            "Basic realm=\"a, Bearer b\", Bearer realm=https",
            &[Challenge::Basic, bearer("https", None, None)],
        );
        check(r#"bearer REALM = "q\"q""#, &[bearer("q\"q", None, None)]);
        check("Bearer service=\"no realm\"", &[]);
        check("Negotiate, Digest realm=x", &[]);
        check("Bearer realm=\"open", &[bearer("open", None, None)]);
        check("", &[]);
        check("=,=", &[]);
    }

    proptest! {
        #[test]
        fn any_header_ends(header in "\\PC{0,200}") {
            parse(&header);
        }
    }
}
