/// What decoding may cost. The defaults suit a frame from a peer that is not trusted.
///
/// ```
/// let limits = etf::Limits::default().with_memory(1 << 20);
/// assert_eq!(limits.depth, 512);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many tuples, lists, maps and funs may stand inside each other. Default 512; more than [`Limits::MAX_DEPTH`]
    /// counts as that. At most 8 of them may stand in keys of maps.
    pub depth: usize,
    /// Elements of all tuples, lists and maps (a pair counts as two) together. Default 2^25.
    pub elements: usize,
    /// Bytes of memory that the decoded term may occupy, counted as the decoder allocates them. Default 1 GiB.
    ///
    /// One byte of input can become a term of 40 bytes, so this bounds what a large frame of small terms costs.
    pub memory: usize,
}

impl Limits {
    /// The greatest depth that can be set.
    ///
    /// Terms are dropped, compared, cloned and printed level by level on the stack, as any nested Rust value is; this bound
    /// keeps all of that within the 2 MiB that a thread has by default, also without optimization.
    pub const MAX_DEPTH: usize = 768;

    /// For what is in memory already, or has passed other limits.
    pub(crate) const UNBOUNDED: Self =
        Self { depth: usize::MAX, elements: usize::MAX, memory: usize::MAX };

    /// These limits with another depth.
    #[must_use]
    pub const fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// These limits with another number of elements.
    #[must_use]
    pub const fn with_elements(mut self, elements: usize) -> Self {
        self.elements = elements;
        self
    }

    /// These limits with another number of bytes.
    #[must_use]
    pub const fn with_memory(mut self, memory: usize) -> Self {
        self.memory = memory;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { depth: 512, elements: 1 << 25, memory: 1 << 30 }
    }
}
