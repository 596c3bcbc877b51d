//! Values and columns in PostgreSQL's binary format.

use bytes::{BufMut, BytesMut};
use std::error::Error;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::StoreError;
use crate::sql::{Columns, Owned, Value};

type Failure = Box<dyn Error + Sync + Send>;

impl ToSql for Owned {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        self.borrowed().to_sql(kind, out)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl ToSql for Value<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match (self, kind) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Boolean(yes), &Type::BOOL) => out.put_u8(u8::from(*yes)),
            (Value::Integer(number), &Type::INT8) => out.put_i64(*number),
            (Value::Integer(number), &Type::INT4) => out.put_i32((*number).try_into()?),
            (Value::Text(text), &Type::TEXT) => out.put_slice(text.as_bytes()),
            (Value::Blob(bytes), &Type::BYTEA) => out.put_slice(bytes),
            (value, kind) => return Err(format!("a statement wants {kind}, not {value:?}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Value<'a> {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Value<'a>, Failure> {
        Ok(match *kind {
            Type::BOOL => Value::Boolean(raw == [1]),
            Type::INT8 => Value::Integer(i64::from_be_bytes(raw.try_into()?)),
            Type::INT4 => Value::Integer(i32::from_be_bytes(raw.try_into()?).into()),
            Type::NUMERIC => Value::Integer(whole(raw)?),
            Type::TEXT | Type::VARCHAR | Type::NAME => Value::Text(std::str::from_utf8(raw)?),
            Type::BYTEA => Value::Blob(raw),
            _ => return Err(format!("a column is {kind}").into()),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Value<'a>, Failure> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A sum of integers comes as NUMERIC: digits to the base of 10,000 behind a head of four 16-bit numbers.
fn whole(raw: &[u8]) -> Result<i64, Failure> {
    const POSITIVE: u16 = 0;
    const NEGATIVE: u16 = 0x4000;
    let mut numbers = raw.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    let mut head = || numbers.next().ok_or("a NUMERIC is cut off");
    let (_, weight, sign, _) = (head()?, head()?.cast_signed(), head()?, head()?);
    let mut sum: i128 = 0;
    let mut places = i32::from(weight) + 1;
    for digit in numbers {
        places -= 1;
        if places < 0 && digit != 0 {
            return Err("a sum is not whole".into());
        }
        if places >= 0 {
            sum = sum.checked_mul(10_000).ok_or("a sum is too large")? + i128::from(digit);
        }
    }
    for _ in 0..places {
        sum = sum.checked_mul(10_000).ok_or("a sum is too large")?;
    }
    match sign {
        POSITIVE => Ok(sum.try_into()?),
        NEGATIVE => Ok((-sum).try_into()?),
        _ => Err("a sum is not a number".into()),
    }
}

impl Columns for tokio_postgres::Row {
    fn value(&self, column: usize) -> Result<Value<'_>, StoreError> {
        self.try_get(column).map_err(StoreError::database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let mut raw = Vec::new();
        raw.put_u16(u16::try_from(digits.len()).unwrap());
        raw.put_i16(weight);
        raw.put_u16(sign);
        raw.put_u16(0);
        digits.iter().for_each(|digit| raw.put_u16(*digit));
        raw
    }

    #[test]
    fn sums_are_read_from_their_digits() {
        assert_eq!(whole(&numeric(0, 0, &[])).unwrap(), 0);
        assert_eq!(whole(&numeric(0, 0, &[7])).unwrap(), 7);
        assert_eq!(whole(&numeric(1, 0, &[3, 45])).unwrap(), 30_045);
        assert_eq!(whole(&numeric(2, 0x4000, &[1])).unwrap(), -100_000_000, "trailing zeros are left out");
        assert!(whole(&numeric(-1, 0, &[5_000])).is_err(), "a half is not whole");
        assert!(whole(&numeric(9, 0, &[1])).is_err(), "it does not fit");
        assert!(whole(&numeric(0, 0xC000, &[])).is_err(), "not a number");
        assert!(whole(&[0, 1]).is_err(), "it is cut off");
    }
}
