use std::fmt;

/// An exact decimal: `mantissa × 10^-scale`. COBOL's 31 digits fit 128 bits with room for sums.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Decimal {
    /// All digits, with the sign.
    pub mantissa: i128,
    /// How many of them stand behind the decimal point.
    pub scale: u8,
}

impl Decimal {
    /// From its two parts.
    pub const fn new(mantissa: i128, scale: u8) -> Self {
        Self { mantissa, scale }
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        // The mantissa may exceed 2^53: the quotient is then off by at most two roundings.
        self.mantissa as f64 / 10f64.powi(i32::from(self.scale))
    }

    /// The same number with `scale` digits behind the point; `None` where that would lose digits or
    /// overflow.
    pub fn rescale(self, scale: u8) -> Option<Self> {
        let mantissa = if scale >= self.scale {
            let factor = 10i128.checked_pow(u32::from(scale - self.scale))?;
            self.mantissa.checked_mul(factor)?
        } else {
            let divisor = 10i128.checked_pow(u32::from(self.scale - scale))?;
            if self.mantissa % divisor != 0 {
                return None;
            }
            self.mantissa / divisor
        };
        Some(Self { mantissa, scale })
    }

    /// The sum at the larger of both scales; `None` on overflow.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let scale = self.scale.max(other.scale);
        let mantissa = self
            .rescale(scale)?
            .mantissa
            .checked_add(other.rescale(scale)?.mantissa)?;
        Some(Self { mantissa, scale })
    }

    /// The whole number, if it is one.
    pub fn to_integer(self) -> Option<i128> {
        self.rescale(0).map(|whole| whole.mantissa)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = usize::from(self.scale);
        let digits = format!(
            "{:0>width$}",
            self.mantissa.unsigned_abs(),
            width = scale + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - scale);
        let sign = if self.mantissa < 0 { "-" } else { "" };
        if fraction.is_empty() {
            write!(f, "{sign}{whole}")
        } else {
            write!(f, "{sign}{whole}.{fraction}")
        }
    }
}

impl Decimal {
    /// By value, whatever the scales.
    pub fn compare(self, other: Self) -> std::cmp::Ordering {
        let scale = self.scale.max(other.scale);
        match (self.rescale(scale), other.rescale(scale)) {
            (Some(a), Some(b)) => a.mantissa.cmp(&b.mantissa),
            // So far apart that one does not fit the other's scale: doubles tell them apart.
            (None | Some(_), None | Some(_)) => self.to_f64().total_cmp(&other.to_f64()),
        }
    }
}

/// Text that is no decimal number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a decimal number has a sign or none, 1 to 31 digits, and a point or none")]
pub struct NoDecimal;

impl std::str::FromStr for Decimal {
    type Err = NoDecimal;

    /// `-12.50`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        /// As many as COBOL has under ARITH(EXTEND).
        const MAX_DIGITS: usize = 31;
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = format!("{whole}{fraction}");
        let shaped = (1..=MAX_DIGITS).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        let magnitude: i128 = match shaped {
            true => digits.parse().map_err(|_| NoDecimal)?,
            false => return Err(NoDecimal),
        };
        let mantissa = if text.starts_with('-') {
            -magnitude
        } else {
            magnitude
        };
        Ok(Self::new(mantissa, fraction.len() as u8))
    }
}
