//! Attention probabilities and their gradients, row by row, from what an attention saved.

/// The operands of one sequence's attention on the host.
///
/// A fused attention never holds its probabilities. They follow from queries, keys and the
/// log-sum-exp of the scores, `p = exp(q k / sqrt(d) - lse)`, for the rows that are asked for.
#[derive(Clone, Debug)]
pub struct AttentionValues {
    /// The place of each query among the sequence's keys.
    pub places: Vec<usize>,
    /// The number of the sequence's first keys that each query sees.
    pub seen: Vec<usize>,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Columns of a head.
    pub head_dim: usize,
    /// `[queries, heads * d]`.
    pub query: Vec<f32>,
    /// `[keys, kv_heads * d]`, without the prefix.
    pub key: Vec<f32>,
    /// `[keys, kv_heads * d]`, without the prefix.
    pub value: Vec<f32>,
    /// Log-sum-exp of a query's scores over all that it sees, the prefix too, `[queries, heads]`.
    pub lse: Vec<f64>,
    /// Gradient of the output, `[queries, heads * d]`; empty where there is none.
    pub d_out: Vec<f32>,
}

impl AttentionValues {
    /// Returns the number of the sequence's keys.
    pub fn keys(&self) -> usize {
        self.key.len() / (self.kv_heads * self.head_dim).max(1)
    }

    /// Returns the products of a query's row with the rows of all keys that it sees; none of a query
    /// or a head that does not exist.
    fn products(&self, rows: &[f32], others: &[f32], query: usize, head: usize) -> Vec<f64> {
        let Some(&seen) = self.seen.get(query).filter(|_| head < self.heads) else {
            return Vec::new();
        };
        let (d, width) = (self.head_dim, self.kv_heads * self.head_dim);
        let own = head / (self.heads / self.kv_heads.max(1)).max(1) * d;
        let first = (query * self.heads + head) * d;
        let row = rows.get(first..first + d).unwrap_or_default();
        let others = others.chunks_exact(width.max(1)).take(seen);
        let product = |other: &[f32]| {
            let terms = row.iter().zip(&other[own..]);
            terms.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
        };
        others
            .filter(|other| own < other.len())
            .map(product)
            .collect()
    }

    /// Returns the probabilities with which a query's head reads the sequence's keys that it sees.
    /// What is left of 1 goes to the prefix.
    pub fn probabilities(&self, query: usize, head: usize) -> Vec<f64> {
        let scale = 1.0 / (self.head_dim as f64).sqrt();
        let products = self.products(&self.query, &self.key, query, head);
        // A query that does not exist has no products.
        let place = query.saturating_mul(self.heads).saturating_add(head);
        let lse = self.lse.get(place).copied().unwrap_or(f64::INFINITY);
        products
            .into_iter()
            .map(|product| (scale * product - lse).exp())
            .collect()
    }

    /// Returns the gradients of [`AttentionValues::probabilities`], each as if it were free: the
    /// products of the output's gradient with the keys' values. None without a gradient.
    pub fn gradients(&self, query: usize, head: usize) -> Vec<f64> {
        match self.d_out.is_empty() {
            true => Vec::new(),
            false => self.products(&self.d_out, &self.value, query, head),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two heads that share keys and values of one column, after a prefix of weight 1 each.
    #[test]
    fn probabilities_leave_a_share_to_the_prefix() {
        let values = AttentionValues {
            places: vec![0, 1],
            seen: vec![1, 2],
            heads: 2,
            kv_heads: 1,
            head_dim: 1,
            query: vec![0.0, 0.0, 0.0, 1.0],
            key: vec![0.0, 2.0],
            value: vec![3.0, -1.0],
            lse: [2.0, 2.0, 3.0, 2.0 + 2f64.exp()].map(f64::ln).to_vec(),
            d_out: vec![1.0, 2.0, 0.5, -1.0],
        };
        assert_eq!(values.keys(), 2);
        let close = |found: Vec<f64>, expected: &[f64]| {
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            }
        };
        close(values.probabilities(0, 0), &[0.5]);
        close(values.probabilities(1, 0), &[1.0 / 3.0; 2]);
        let total = 2.0 + 2f64.exp();
        close(
            values.probabilities(1, 1),
            &[1.0 / total, 2f64.exp() / total],
        );
        close(values.gradients(1, 1), &[-3.0, 1.0]);
        close(values.gradients(0, 1), &[6.0]);
        for (query, head) in [(2, 0), (0, 2), (usize::MAX, usize::MAX)] {
            assert!(values.probabilities(query, head).is_empty());
            assert!(values.gradients(query, head).is_empty());
        }
    }
}
