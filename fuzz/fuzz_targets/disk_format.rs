//! The cache on disk: whatever stands in the file, opening it comes to an empty cache or to the right secrets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use secrets_service::disk::fuzzing;

fuzz_target!(|input: &[u8]| {
    let Some((&sort, rest)) = input.split_first() else { return };
    match sort % 4 {
        // What only someone with the key could have written.
        0 => drop(fuzzing::decode(rest)),
        1 => assert!(!fuzzing::open(rest), "made without the key, and opened"),
        2 => drop(fuzzing::sealed(rest)),
        _ => assert_ne!(fuzzing::damaged(|file| damage(file, rest)), Some(false), "opened, and wrong"),
    }
});

/// Each five bytes of the plan do one thing at one place.
fn damage(file: &mut Vec<u8>, plan: &[u8]) {
    for step in plan.chunks_exact(5).take(64) {
        if file.is_empty() {
            return;
        }
        let at = usize::from(u16::from_le_bytes([step[1], step[2]])) % file.len();
        let length = usize::from(step[4]).min(file.len() - at);
        match step[0] % 6 {
            0 => file[at] ^= step[3],
            1 => file[at] = step[3],
            2 => file.truncate(at),
            3 => drop(file.drain(at..at + length)),
            4 => {
                let block = file[at..at + length].to_vec();
                let to = usize::from(step[3]) * 3 % (file.len() + 1);
                drop(file.splice(to..to, block));
            }
            _ => {
                let block = file[at..at + length].to_vec();
                let to = usize::from(step[3]) * 3 % file.len();
                let end = (to + block.len()).min(file.len());
                file[to..end].copy_from_slice(&block[..end - to]);
            }
        }
    }
}
