//! What fuzzers call: one function per face that takes input from others. Each asserts what must hold whatever the
//! input is, so that a fuzzer finds more than panics.

pub use crate::agent::fuzzing::http;
pub use crate::import::fuzzing::agent_import;
pub use crate::template::fuzzing::template;

#[cfg(test)]
mod tests {
    /// What fuzzing begins with, so that nothing here is broken without notice.
    fn each_seed(target: &str, run: fn(&[u8])) {
        let folder = format!("{}/../../fuzz/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
        let mut seeds = 0;
        for seed in std::fs::read_dir(folder).unwrap() {
            run(&std::fs::read(seed.unwrap().path()).unwrap());
            seeds += 1;
        }
        assert!(seeds > 0, "{target} has no seeds");
    }

    #[test]
    fn seeds_of_the_agents_http() {
        each_seed("agent_http", super::http);
    }

    #[test]
    fn seeds_of_templates() {
        each_seed("templates", super::template);
    }

    #[test]
    fn seeds_of_imports() {
        each_seed("agent_import", super::agent_import);
    }
}
