/// A stack of which the first few places take no allocation.
pub(super) struct Stack<T, const N: usize> {
    inline: [T; N],
    len: usize,
    /// All of it, once it is longer than `N`.
    spilled: Vec<T>,
}

impl<T: Copy + Default, const N: usize> Default for Stack<T, N> {
    fn default() -> Self {
        Self { inline: [T::default(); N], len: 0, spilled: Vec::new() }
    }
}

impl<T: Copy, const N: usize> Stack<T, N> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, item: T) {
        if self.spilled.is_empty() {
            if let Some(place) = self.inline.get_mut(self.len) {
                *place = item;
                self.len += 1;
                return;
            }
            self.spilled.extend_from_slice(&self.inline);
        }
        self.spilled.push(item);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let last = self.from(self.len.checked_sub(1)?).first().copied();
        self.truncate(self.len - 1);
        last
    }

    pub(super) fn from(&self, start: usize) -> &[T] {
        let all = if self.spilled.is_empty() { self.inline.as_slice() } else { &self.spilled };
        all.get(start..self.len).unwrap_or_default()
    }

    /// Back to a length that it had.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = len;
        if len > N {
            self.spilled.truncate(len);
        } else if let Some(rest) = self.spilled.get(..len) {
            if let Some(places) = self.inline.get_mut(..len) {
                places.copy_from_slice(rest);
            }
            self.spilled.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_stack_however_long(
            steps in proptest::collection::vec((0..3_u8, any::<prop::sample::Index>(), any::<u8>()), 0..60),
        ) {
            let (mut stack, mut model) = (Stack::<u8, 4>::default(), Vec::new());
            for (step, at, item) in steps {
                match step {
                    0 => prop_assert_eq!(stack.pop(), model.pop()),
                    1 if item < 64 => {
                        let len = at.index(model.len() + 1);
                        stack.truncate(len);
                        model.truncate(len);
                    }
                    _ => {
                        stack.push(item);
                        model.push(item);
                    }
                }
                prop_assert_eq!(stack.len(), model.len());
                let start = at.index(model.len() + 1);
                prop_assert_eq!(stack.from(start), &model[start..]);
            }
        }
    }
}
