//! The orientation of a picture: from the EXIF tag, or else from an XMP packet, as in Pillow's
//! `ImageOps.exif_transpose`.

/// The TIFF tag of the orientation.
const ORIENTATION: u16 = 0x0112;
/// The TIFF tag of an XMP packet.
pub(super) const XMP: u16 = 700;

/// Returns the orientation of an EXIF block, else that of an XMP packet, else 1, upright.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> u64 {
    let tag = exif.and_then(|block| field(after_mark(block), ORIENTATION));
    match tag {
        // A tag that exists but is not a number counts: the packet is then ignored.
        Some(field) => field.number().unwrap_or(1),
        None => xmp.and_then(in_packet).unwrap_or(1),
    }
}

/// Returns an EXIF block without its mark, which may occur twice.
fn after_mark(mut block: &[u8]) -> &[u8] {
    for _ in 0..2 {
        block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    }
    block
}

/// Returns the first `tiff:Orientation` of a packet, an attribute or an element.
fn in_packet(packet: &[u8]) -> Option<u64> {
    const NAME: &[u8] = b"tiff:Orientation";
    packet
        .windows(NAME.len())
        .enumerate()
        .find_map(|(at, name)| {
            let rest = packet.get(at + NAME.len()..).filter(|_| name == NAME)?;
            let value = rest.strip_prefix(b"=\"").or(rest.strip_prefix(b">"))?;
            let digit = value.first().filter(|digit| digit.is_ascii_digit())?;
            Some(u64::from(digit - b'0'))
        })
}

/// A field of a TIFF directory.
pub(super) struct Field<'a> {
    /// The type's number in TIFF.
    kind: u16,
    /// The number of values.
    count: u64,
    /// The values' bytes.
    pub bytes: &'a [u8],
    pub big_endian: bool,
}

impl Field<'_> {
    /// Returns the value of a field that holds one whole number.
    pub fn number(&self) -> Option<u64> {
        let whole = matches!(self.kind, 3 | 4 | 8 | 9 | 13 | 16 | 17 | 18);
        (whole && self.count == 1).then(|| unsigned(self.bytes, self.big_endian))
    }

    /// Returns the values of a field of 16-bit numbers; empty for another field.
    pub fn numbers(&self) -> Vec<u64> {
        let words = self.bytes.chunks_exact(2);
        let words = words.filter(|_| self.kind == 3);
        words.map(|word| unsigned(word, self.big_endian)).collect()
    }
}

/// Reads an unsigned number of at most eight bytes.
fn unsigned(bytes: &[u8], big_endian: bool) -> u64 {
    let join = |sum: u64, &byte: &u8| sum << 8 | u64::from(byte);
    match big_endian {
        true => bytes.iter().fold(0, join),
        false => bytes.iter().rev().fold(0, join),
    }
}

/// Finds the last field with this tag in the first directory of a TIFF file or of an EXIF block,
/// which has the same layout. Fields after damage are not found.
pub(super) fn field(file: &[u8], wanted: u16) -> Option<Field<'_>> {
    let big_endian = match file.get(..2)? {
        b"MM" => true,
        b"II" => false,
        _ => return None,
    };
    let number = |at: u64, length: usize| {
        let at = usize::try_from(at).ok()?;
        let bytes = file.get(at..at.checked_add(length)?)?;
        Some(unsigned(bytes, big_endian))
    };
    // A TIFF of more than 4 GB has counts and offsets of eight bytes.
    let (pointer, counter, start) = match number(2, 2)? {
        42 => (4, 2, number(4, 4)?),
        43 => (8, 8, number(8, 8)?),
        _ => return None,
    };
    let entry_length = 4 + 2 * pointer as u64;
    let mut found = None;
    for index in 0..number(start, counter)? {
        let entry = start
            .checked_add(counter as u64)?
            .checked_add(index.checked_mul(entry_length)?)?;
        let part = |offset: u64, length| number(entry.checked_add(offset)?, length);
        let value = entry.saturating_add(4 + pointer as u64);
        let parts = (
            part(0, 2),
            part(2, 2),
            part(4, pointer),
            number(value, pointer),
        );
        let (Some(tag), Some(kind), Some(count), Some(place)) = parts else {
            break;
        };
        let Some(size) = size_of(kind).and_then(|unit| count.checked_mul(unit)) else {
            continue;
        };
        let at = if size > pointer as u64 { place } else { value };
        let range = usize::try_from(at).ok().zip(usize::try_from(size).ok());
        let bytes = range.and_then(|(at, size)| file.get(at..at.checked_add(size)?));
        let Some(bytes) = bytes else {
            break;
        };
        if tag == u64::from(wanted) && !bytes.is_empty() {
            found = Some(Field {
                kind: kind as u16,
                count,
                bytes,
                big_endian,
            });
        }
    }
    found
}

/// Returns the bytes of one value of a TIFF type.
fn size_of(kind: u64) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 | 17 | 18 => 8,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_blocks_are_upright() {
        let block = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        assert_eq!(orientation(Some(block), None), 6);
        for end in 0..block.len() - 4 {
            assert_eq!(orientation(Some(&block[..end]), None), 1, "{end} bytes");
        }
        // A directory at the end of the addressable range, and one that claims 65535 fields.
        assert_eq!(orientation(Some(b"II*\0\xff\xff\xff\xff"), None), 1);
        let mut many = block.to_vec();
        many[14..16].fill(0xFF);
        assert_eq!(orientation(Some(&many), None), 6);
        let far = b"MM\0\x2b\0\x08\0\0\xff\xff\xff\xff\xff\xff\xff\xf8";
        assert_eq!(orientation(Some(far), None), 1);
    }

    #[test]
    fn a_packet_counts_where_exif_has_no_orientation() {
        let packet = b"<x tiff:Orientation=\"x\" tiff:Orientation=\"8\"/>";
        assert_eq!(orientation(None, Some(packet)), 8);
        assert_eq!(orientation(Some(b"nothing"), Some(packet)), 8);
        assert_eq!(orientation(None, Some(b"tiff:Orientation>")), 1);
    }
}
