//! How the small vectors of a node grow.

/// Makes room for `more` items and an eighth on top: doubling, `Vec`'s own way, would leave a quarter of the index unused,
/// and a node is small enough that copying it more often doesn't show.
pub fn reserve<T>(items: &mut Vec<T>, more: usize) {
    if items.capacity() - items.len() < more {
        items.reserve_exact(more + items.len() / 8);
    }
}
