/// More would only wait at the target.
const MAX: usize = 64;

/// How many transactions may be on their way. A server handles calls side by side: those that come before their turn do nothing and
/// are sent again, so that the window grows while they come in order, and shrinks when they don't.
#[derive(Debug)]
pub(super) struct Window {
    size: usize,
    in_order: usize,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { size: 1, in_order: 0 }
    }

    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// One was applied.
    pub(super) fn applied(&mut self) {
        self.in_order += 1;
        if self.in_order >= self.size {
            self.in_order = 0;
            self.size = MAX.min(self.size + 1);
        }
    }

    /// One came before its turn.
    pub(super) fn disordered(&mut self) {
        self.in_order = 0;
        self.size = (self.size / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_in_order_and_shrinks_in_disorder() {
        let mut window = Window::new();
        (0..10).for_each(|_| window.applied());
        assert_eq!(window.size(), 5);
        window.disordered();
        assert_eq!(window.size(), 2);
        (0..10).for_each(|_| window.disordered());
        assert_eq!(window.size(), 1);
        (0..10_000).for_each(|_| window.applied());
        assert_eq!(window.size(), MAX);
    }
}
