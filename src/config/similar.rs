//! "Did you mean": names that are nearly the same.

/// The one of these names that somebody may have meant who wrote `written`.
pub(super) fn similar<'a>(written: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // What nobody writes by hand need not be compared.
    if written.len() > 64 {
        return None;
    }
    let distance = |name: &str| strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase());
    let near = |&(distance, name): &(usize, &str)| distance <= (name.len().max(written.len()) / 3).max(1);
    names
        .into_iter()
        .map(|name| (distance(name), name))
        .filter(near)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::similar;

    #[test]
    fn what_is_near_is_found_and_nothing_else() {
        let names = ["endpoints", "max_connections", "share"];
        assert_eq!(similar("max_conections", names), Some("max_connections"));
        assert_eq!(similar("Endpoint", names), Some("endpoints"));
        assert_eq!(similar("timeout", names), None);
        assert_eq!(similar(&"x".repeat(100), names), None);
    }
}
