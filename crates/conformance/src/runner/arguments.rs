//! The command line, as far as the usual test runner has it.

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    pub(super) list: bool,
    exact: bool,
    /// Only what is ignored: there is nothing of that sort.
    only_ignored: bool,
    filters: Vec<String>,
    skip: Vec<String>,
}

/// Options of the usual runner that take a value and mean nothing here.
const WITH_VALUE: &[&str] =
    &["--test-threads", "--color", "--format", "--logfile", "--shuffle-seed", "-Z", "--report-time"];

impl Arguments {
    /// Reads them. What the usual runner takes and this one does not know is passed over.
    pub(super) fn parse(arguments: impl Iterator<Item = String>) -> Self {
        let mut parsed = Self::default();
        let mut arguments = arguments.peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => parsed.list = true,
                "--exact" => parsed.exact = true,
                "--ignored" => parsed.only_ignored = true,
                "--skip" => parsed.skip.extend(arguments.next()),
                option if WITH_VALUE.contains(&option) => drop(arguments.next()),
                option if option.starts_with("--skip=") => {
                    parsed.skip.extend(option.strip_prefix("--skip=").map(str::to_owned));
                }
                option if option.starts_with('-') => {}
                _ => parsed.filters.push(argument),
            }
        }
        parsed
    }

    /// Whether a test of this name is to be run.
    pub(super) fn selects(&self, name: &str) -> bool {
        let fits = |filter: &String| if self.exact { name == filter } else { name.contains(filter.as_str()) };
        !self.only_ignored
            && (self.filters.is_empty() || self.filters.iter().any(fits))
            && !self.skip.iter().any(fits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Arguments {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn what_a_line_selects() {
        for (line, selected) in [
            ("", true),
            ("kv2", true),
            ("kv2::reads", true),
            ("kv1 kv2", true),
            ("kv1", false),
            ("kv2 --exact", false),
            ("kv2::reads --exact", true),
            ("--skip reads", false),
            ("kv2 --skip=kv1", true),
            ("--ignored", false),
            ("--include-ignored", true),
            ("--nocapture -q --test-threads 4 --format=pretty --color always", true),
        ] {
            assert_eq!(parsed(line).selects("kv2::reads"), selected, "{line}");
        }
        assert!(parsed("kv2 --list").list);
    }
}
