//! [`Tally`]: a counter that threads can add to at once without a locked instruction, and that is exact all the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Lines in the first block; each further block has twice as many as the one before.
const FIRST_BLOCK: usize = 8;

/// Enough for two million threads at once. Any beyond share one line.
const BLOCKS: usize = 18;

/// A counter for the hottest path. Each thread adds to a line of its own, with a plain load and store: an atomic
/// read-modify-write would cost as much as the rest of the bookkeeping of a cached read.
///
/// A line belongs to one living thread at a time. When the thread ends, the next new one goes on counting on it, so
/// nothing is lost and memory is bounded by the most threads that were alive at once.
#[derive(Debug, Default)]
pub(super) struct Tally {
    blocks: [OnceLock<Box<[Line]>>; BLOCKS],
    /// For threads without a line of their own: those that are ending.
    shared: Line,
}

/// Alone in its pair of cache lines, which processors fetch together.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line(AtomicU64);

impl Tally {
    #[inline]
    pub(super) fn add_one(&self) {
        let own = SLOT.try_with(|slot| slot.place).ok().and_then(|place| self.line(place));
        match own {
            Some(Line(count)) => {
                count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
            }
            None => self.add_shared(),
        }
    }

    /// What all threads have added. Of those still counting, the latest may be missing.
    pub(super) fn sum(&self) -> u64 {
        let lines = self.blocks.iter().filter_map(OnceLock::get).flatten();
        lines.chain([&self.shared]).map(|line| line.0.load(Ordering::Relaxed)).sum()
    }

    #[inline]
    fn line(&self, Place { block, line }: Place) -> Option<&Line> {
        let block_of_lines = self.blocks.get(block)?;
        block_of_lines.get_or_init(|| new_block(block)).get(line)
    }

    #[cold]
    fn add_shared(&self) {
        self.shared.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[cold]
fn new_block(block: usize) -> Box<[Line]> {
    (0..FIRST_BLOCK << block).map(|_| Line::default()).collect()
}

/// Where a thread's line is, in every tally.
#[derive(Debug, Clone, Copy)]
struct Place {
    block: usize,
    line: usize,
}

impl Place {
    /// Block 0 has slots 0 to 7, block 1 has 8 to 23, and so on.
    fn of(slot: usize) -> Self {
        let block = (slot / FIRST_BLOCK + 1).ilog2() as usize;
        Self { block, line: slot - FIRST_BLOCK * ((1 << block) - 1) }
    }
}

thread_local! {
    static SLOT: Slot = Slot::take();
}

/// A living thread's hold on its lines. Handing it from one thread to the next takes a lock, so the next one sees
/// all that the last one counted.
struct Slot {
    number: usize,
    place: Place,
}

static FREE: Mutex<FreeSlots> = Mutex::new(FreeSlots { returned: BinaryHeap::new(), next: 0 });

struct FreeSlots {
    /// The lowest is taken first, so that a burst of threads does not leave the lines in use far apart.
    returned: BinaryHeap<Reverse<usize>>,
    next: usize,
}

impl Slot {
    fn take() -> Self {
        let mut free = FREE.lock();
        let number = free.returned.pop().map_or_else(
            || {
                free.next += 1;
                free.next - 1
            },
            |Reverse(number)| number,
        );
        Self { number, place: Place::of(number) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        FREE.lock().returned.push(Reverse(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_line_of_its_own() {
        let mut expected = (0..3).flat_map(|block| (0..FIRST_BLOCK << block).map(move |line| (block, line)));
        for slot in 0..FIRST_BLOCK * 7 {
            let Place { block, line } = Place::of(slot);
            assert_eq!(Some((block, line)), expected.next());
        }
    }

    #[test]
    fn threads_that_count_at_once_lose_nothing() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| (0..5_000).for_each(|_| tally.add_one()));
            }
        });
        assert_eq!(tally.sum(), 40 * 5_000);
    }

    #[test]
    fn threads_that_come_and_go_lose_nothing_and_do_not_add_up() {
        let tally = Tally::default();
        for _ in 0..1_000 {
            std::thread::scope(|scope| {
                scope.spawn(|| tally.add_one());
            });
        }
        assert_eq!(tally.sum(), 1_000);
        let lines: usize = tally.blocks.iter().filter_map(OnceLock::get).map(|block| block.len()).sum();
        assert!(lines < 500, "{lines} lines for one thread at a time (beside those of other tests)");
    }

    #[test]
    fn a_thread_that_is_ending_is_counted_too() {
        struct CountsAtTheEnd(std::sync::Arc<Tally>);
        impl Drop for CountsAtTheEnd {
            fn drop(&mut self) {
                self.0.add_one();
            }
        }
        thread_local! {
            static LAST: std::cell::RefCell<Option<CountsAtTheEnd>> = const { std::cell::RefCell::new(None) };
        }
        let tally = std::sync::Arc::new(Tally::default());
        for counted_before in [false, true] {
            let tally = std::sync::Arc::clone(&tally);
            let thread = std::thread::spawn(move || {
                // Destroyed after what is used first only, whichever way round this platform does it.
                if counted_before {
                    tally.add_one();
                }
                LAST.with(|last| *last.borrow_mut() = Some(CountsAtTheEnd(std::sync::Arc::clone(&tally))));
                if !counted_before {
                    tally.add_one();
                }
            });
            thread.join().unwrap();
        }
        assert_eq!(tally.sum(), 4);
    }
}
