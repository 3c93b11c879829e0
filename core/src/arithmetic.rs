//! Rank 0: arithmetic with 64 bits that stays in range. On a processor of 32 bits each is a call:
//! in place they take several times the room, and there are hundreds.

/// Sums, differences and products that stop at the ends of the range.
pub(crate) trait Wide {
    /// The sum.
    fn plus(self, other: Self) -> Self;
    /// The difference, at least zero.
    fn minus(self, other: Self) -> Self;
    /// The product.
    fn times(self, other: Self) -> Self;
}

impl Wide for u64 {
    #[inline]
    fn plus(self, other: Self) -> Self {
        sum(self, other)
    }

    #[inline]
    fn minus(self, other: Self) -> Self {
        difference(self, other)
    }

    #[inline]
    fn times(self, other: Self) -> Self {
        product(self, other)
    }
}

/// As [`Wide::plus`], where the compiler may compute it.
#[cfg_attr(target_pointer_width = "32", inline(never))]
#[cfg_attr(not(target_pointer_width = "32"), inline)]
pub(crate) const fn sum(a: u64, b: u64) -> u64 {
    a.saturating_add(b)
}

/// As [`Wide::minus`], where the compiler may compute it.
#[cfg_attr(target_pointer_width = "32", inline(never))]
#[cfg_attr(not(target_pointer_width = "32"), inline)]
pub(crate) const fn difference(a: u64, b: u64) -> u64 {
    a.saturating_sub(b)
}

/// As [`Wide::times`], where the compiler may compute it.
#[cfg_attr(target_pointer_width = "32", inline(never))]
#[cfg_attr(not(target_pointer_width = "32"), inline)]
pub(crate) const fn product(a: u64, b: u64) -> u64 {
    a.saturating_mul(b)
}
