//! The field of 256 elements (polynomial 0x11d, as in RFC 8681): addition is exclusive or, and
//! every element but zero has an inverse. Two small tables for each factor, made when needed, keep
//! the inner loop to two look-ups a byte.

/// The product.
pub(super) const fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut b, mut product) = (a, b, 0);
    while b != 0 {
        if b & 1 != 0 {
            product ^= a;
        }
        let carry = a & 0x80 != 0;
        a <<= 1;
        if carry {
            a ^= POLYNOMIAL;
        }
        b >>= 1;
    }
    product
}

/// What gives 1 when multiplied by `a`; zero for zero.
pub(super) const fn inverse(a: u8) -> u8 {
    // The group has 255 elements, so the power 254 is the inverse: 2 + 4 + ... + 128.
    let mut power = a;
    let mut product = 1;
    let mut step = 0;
    while step < 7 {
        power = multiply(power, power);
        product = multiply(product, power);
        step += 1;
    }
    product
}

/// Adds `factor` times `from` to `to`, over the shorter of the two.
pub(super) fn add_multiple(to: &mut [u8], from: &[u8], factor: u8) {
    if factor == 0 {
        return;
    }
    let (mut low, mut high) = ([0_u8; 16], [0_u8; 16]);
    for (nibble, (low, high)) in (0_u8..).zip(low.iter_mut().zip(&mut high)) {
        *low = multiply(factor, nibble);
        *high = multiply(factor, nibble << 4);
    }
    for (to, from) in to.iter_mut().zip(from) {
        let low = low.get(usize::from(from & 15)).copied().unwrap_or(0);
        let high = high.get(usize::from(from >> 4)).copied().unwrap_or(0);
        *to ^= low ^ high;
    }
}

/// Multiplies all of it.
pub(super) fn scale(bytes: &mut [u8], factor: u8) {
    // b * f = b + b * (f - 1), and minus is plus here.
    let other = factor ^ 1;
    if other == 0 {
        return;
    }
    for byte in bytes {
        *byte ^= multiply(*byte, other);
    }
}

/// x^8 + x^4 + x^3 + x^2 + 1, without its highest term.
const POLYNOMIAL: u8 = 0x1d;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_field() {
        for a in 0..=255_u8 {
            assert_eq!(multiply(a, 1), a);
            assert_eq!(multiply(a, inverse(a)), u8::from(a != 0));
            for b in 0..=255_u8 {
                assert_eq!(multiply(a, b), multiply(b, a));
                assert_eq!(multiply(a, b ^ 0x53), multiply(a, b) ^ multiply(a, 0x53));
                assert_eq!(multiply(multiply(a, b), 0xca), multiply(a, multiply(b, 0xca)));
            }
        }
    }

    #[test]
    fn slices_are_multiplied_byte_by_byte() {
        for factor in 0..=255_u8 {
            let from: [u8; 256] = core::array::from_fn(|at| at as u8);
            let mut to = [0x77; 256];
            add_multiple(&mut to, &from, factor);
            let mut scaled = from;
            scale(&mut scaled, factor);
            for (at, (to, scaled)) in to.into_iter().zip(scaled).enumerate() {
                assert_eq!(to, 0x77 ^ multiply(at as u8, factor));
                assert_eq!(scaled, multiply(at as u8, factor));
            }
        }
    }
}
