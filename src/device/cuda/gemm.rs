//! Linear layers with their epilogues: launches of `kernels/gemm.cu`, or a product of cuBLASLt
//! followed by one more kernel.

use super::Cuda;
use super::activation::number;
use super::cublaslt::{Algorithm, CublasLt, Product};
use super::interface::activation::ActivationArguments;
use super::interface::gemm::{self, GemmArguments};
use super::memory::{CudaMatrix, CudaWeight};
use crate::device::{Activation, Gemm, Result, Rows};

impl Product {
    /// Describes the library's part of a product: of the epilogue only bias and residual. A kernel
    /// that follows reads the product from the place of its own output or operand.
    pub(super) fn of(
        layout: Layout,
        (m, n, k): (usize, usize, usize),
        epilogue: Epilogue,
        arguments: &GemmArguments,
    ) -> Product {
        Product {
            vjp: layout == Layout::Vjp,
            m,
            n,
            k,
            a: arguments.a,
            b: arguments.b,
            bias: arguments.bias,
            residual: arguments.residual,
            y: match epilogue {
                Epilogue::Activation | Epilogue::Gate | Epilogue::GateVjp => arguments.also,
                _ => arguments.y,
            },
        }
    }
}

/// The epilogue of a product, as in `kernels/gemm.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Epilogue {
    Plain,
    Activation,
    Gate,
    ActivationVjp,
    GateVjp,
    Rope,
    /// The output and the residual are f32.
    F32,
}

impl Epilogue {
    /// Returns the name in a list of products; with `_` for spaces, in the kernels' names.
    pub fn name(self) -> &'static str {
        match self {
            Epilogue::Plain => "plain",
            Epilogue::Activation => "activation",
            Epilogue::Gate => "gate",
            Epilogue::ActivationVjp => "activation vjp",
            Epilogue::GateVjp => "gate vjp",
            Epilogue::Rope => "rope",
            Epilogue::F32 => "f32",
        }
    }
}

/// The orientation of the weight `[out, in]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Layout {
    /// `x W^T`.
    Forward,
    /// `dy W`.
    Vjp,
}

impl Layout {
    /// Returns the name in the kernels' names.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Forward => "nt",
            Layout::Vjp => "nn",
        }
    }
}

/// The block of the product that one thread block computes. The bits of the result are the same
/// with all tiles.
#[derive(Clone, Copy)]
enum Tile {
    Large,
    Small,
    /// The tile for rows of any length.
    Odd,
}

impl Tile {
    /// Returns the tile for a product: the large one if the product fills the GPU with it. With
    /// rotary positions a tile must contain whole heads, both halves of a pair.
    fn of(
        (m, n, k): (usize, usize, usize),
        head_dim: Option<usize>,
        multiprocessors: usize,
    ) -> Tile {
        let (rows, columns) = Tile::Large.size();
        let fills = m > 64 && m.div_ceil(rows) * n.div_ceil(columns) >= multiprocessors;
        if !n.is_multiple_of(8) || !k.is_multiple_of(8) {
            Tile::Odd
        } else if fills || head_dim.is_some_and(|head_dim| head_dim > Tile::Small.size().1) {
            Tile::Large
        } else {
            Tile::Small
        }
    }

    /// Returns the rows and columns.
    fn size(self) -> (usize, usize) {
        match self {
            Tile::Large => (gemm::LARGE_M, gemm::LARGE_N),
            Tile::Small => (gemm::SMALL_M, gemm::SMALL_N),
            Tile::Odd => (gemm::ODD_M, gemm::ODD_N),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Tile::Large => "large",
            Tile::Small => "small",
            Tile::Odd => "odd",
        }
    }
}

impl Cuda {
    /// Computes the product of `sizes` m, n, k by the route that is selected for its shape.
    fn product(
        &self,
        layout: Layout,
        (m, n, k): (usize, usize, usize),
        epilogue: Epilogue,
        arguments: GemmArguments,
    ) -> Result<()> {
        match self.through_library(layout, (n, k), epilogue, &arguments)? {
            None => self.native(layout, (m, n, k), epilogue, arguments),
            Some((library, algorithm)) => {
                let sizes = (m, n, k);
                // SAFETY: the traits check shapes.
                unsafe {
                    self.library_product(&library, algorithm, layout, sizes, epilogue, &arguments)
                }
            }
        }
    }

    /// Computes the product with the kernels.
    pub(super) fn native(
        &self,
        layout: Layout,
        (m, n, k): (usize, usize, usize),
        epilogue: Epilogue,
        arguments: GemmArguments,
    ) -> Result<()> {
        let head_dim = (epilogue == Epilogue::Rope).then_some(arguments.head_dim as usize);
        let tile = Tile::of((m, n, k), head_dim, self.multiprocessors);
        let arguments = GemmArguments {
            m: self.number(m)?,
            n: self.number(n)?,
            k: self.number(k)?,
            ..arguments
        };
        let name = format!(
            "gemm_{}_{}_{}_{}",
            layout.name(),
            epilogue.name().replace(' ', "_"),
            tile.name(),
            self.storage
        );
        let (rows, columns) = tile.size();
        let grid = (m.div_ceil(rows) * n.div_ceil(columns), 1, 1);
        // SAFETY: the traits check shapes.
        unsafe {
            self.gpu.launch(
                ("gemm", &name),
                grid,
                gemm::THREADS,
                gemm::SHARED_BYTES,
                &arguments,
            )
        }
    }

    /// Computes the product with cuBLASLt, rounded to the storage type, and the epilogue with a
    /// separate kernel.
    ///
    /// # Safety
    /// The addresses in `arguments` must be those of matrices of these sizes; `algorithm` must be
    /// one for them.
    pub(super) unsafe fn library_product(
        &self,
        library: &CublasLt,
        algorithm: Algorithm,
        layout: Layout,
        (m, n, k): (usize, usize, usize),
        epilogue: Epilogue,
        g: &GemmArguments,
    ) -> Result<()> {
        if m == 0 {
            return Ok(());
        }
        let product = Product::of(layout, (m, n, k), epilogue, g);
        // SAFETY: guaranteed by the caller; buffers are aligned to 512 bytes.
        unsafe { library.multiply(&product, algorithm) }?;
        let elements = ActivationArguments {
            x: g.first,
            out: g.y,
            kind: g.kind,
            ..ActivationArguments::default()
        };
        let count = m * n;
        match epilogue {
            Epilogue::Plain | Epilogue::F32 => Ok(()),
            Epilogue::Activation => {
                let x = product.y;
                self.over_elements("activation", count, ActivationArguments { x, ..elements })
            }
            Epilogue::Gate => {
                let up = product.y;
                self.over_elements("gate", count, ActivationArguments { up, ..elements })
            }
            Epilogue::ActivationVjp => {
                let dy = product.y;
                self.over_elements(
                    "activation_vjp",
                    count,
                    ActivationArguments { dy, ..elements },
                )
            }
            Epilogue::GateVjp => {
                let (up, dy, also) = (g.second, product.y, g.also);
                let elements = ActivationArguments {
                    up,
                    dy,
                    also,
                    ..elements
                };
                self.over_elements("gate_vjp", count, elements)
            }
            Epilogue::Rope => {
                let heads = (g.head_dim, g.positions);
                self.rotate_rows(g.y, (m, n), g.turns, heads, false)
            }
        }
    }

    /// Computes `x W^T + bias + residual` with an epilogue that reads `operands`, one matrix of y's
    /// shape for each of y and `also`.
    fn forward(
        &self,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
        epilogue: Epilogue,
        operands: GemmArguments,
    ) -> Result<CudaMatrix> {
        let y = self.gpu.matrix(x.rows, weight.rows)?;
        let arguments = GemmArguments {
            a: x.address(),
            b: weight.buffer.address(),
            y: y.address(),
            bias: bias.map_or(0, CudaMatrix::address),
            ..operands
        };
        let sizes = (x.rows, weight.rows, weight.columns);
        self.product(Layout::Forward, sizes, epilogue, arguments)?;
        Ok(y)
    }

    /// Computes `dy W` with an epilogue.
    fn backward(
        &self,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        epilogue: Epilogue,
        operands: GemmArguments,
    ) -> Result<CudaMatrix> {
        let dx = self.gpu.matrix(dy.rows, weight.columns)?;
        let arguments = GemmArguments {
            a: dy.address(),
            b: weight.buffer.address(),
            y: dx.address(),
            ..operands
        };
        let sizes = (dy.rows, weight.columns, weight.rows);
        self.product(Layout::Vjp, sizes, epilogue, arguments)?;
        Ok(dx)
    }

    /// Computes the logits of tokens `start .. start + chunk` in `logits`, f32 `[rows, chunk]`.
    pub(super) fn project(
        &self,
        x: &CudaMatrix,
        head: &CudaWeight,
        start: usize,
        chunk: usize,
        logits: u64,
    ) -> Result<()> {
        let arguments = GemmArguments {
            a: x.address(),
            b: head.buffer.address() + (start * head.columns * 2) as u64,
            y: logits,
            ..GemmArguments::default()
        };
        let sizes = (x.rows, chunk, head.columns);
        self.product(Layout::Forward, sizes, Epilogue::F32, arguments)
    }

    /// Computes `slope W` for tokens `start .. start + chunk` in `sum`, f32 `[rows, in]`: the first
    /// chunk overwrites it, others add to it.
    pub(super) fn project_back(
        &self,
        slope: u64,
        rows: usize,
        head: &CudaWeight,
        start: usize,
        chunk: usize,
        sum: u64,
    ) -> Result<()> {
        let arguments = GemmArguments {
            a: slope,
            b: head.buffer.address() + (start * head.columns * 2) as u64,
            y: sum,
            residual: if start == 0 { 0 } else { sum },
            ..GemmArguments::default()
        };
        let sizes = (rows, head.columns, chunk);
        self.product(Layout::Vjp, sizes, Epilogue::F32, arguments)
    }
}

impl Gemm for Cuda {
    fn linear_impl(
        &self,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
        residual: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let operands = GemmArguments {
            residual: residual.map_or(0, CudaMatrix::address),
            ..GemmArguments::default()
        };
        self.forward(x, weight, bias, Epilogue::Plain, operands)
    }

    fn linear_vjp_impl(
        &self,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        onto: Option<&CudaMatrix>,
    ) -> Result<CudaMatrix> {
        let operands = GemmArguments {
            residual: onto.map_or(0, CudaMatrix::address),
            ..GemmArguments::default()
        };
        self.backward(dy, weight, Epilogue::Plain, operands)
    }

    fn linear_activation_impl(
        &self,
        kind: Activation,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        let h = self.gpu.matrix(x.rows, weight.rows)?;
        let operands = GemmArguments {
            also: h.address(),
            kind: number(kind),
            ..GemmArguments::default()
        };
        let y = self.forward(x, weight, bias, Epilogue::Activation, operands)?;
        Ok((h, y))
    }

    fn linear_vjp_activation_impl(
        &self,
        kind: Activation,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        h: &CudaMatrix,
    ) -> Result<CudaMatrix> {
        let operands = GemmArguments {
            first: h.address(),
            kind: number(kind),
            ..GemmArguments::default()
        };
        self.backward(dy, weight, Epilogue::ActivationVjp, operands)
    }

    fn linear_gate_impl(
        &self,
        kind: Activation,
        gate: &CudaMatrix,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        let up = self.gpu.matrix(x.rows, weight.rows)?;
        let operands = GemmArguments {
            first: gate.address(),
            also: up.address(),
            kind: number(kind),
            ..GemmArguments::default()
        };
        let y = self.forward(x, weight, bias, Epilogue::Gate, operands)?;
        Ok((up, y))
    }

    fn linear_vjp_gate_impl(
        &self,
        kind: Activation,
        dy: &CudaMatrix,
        weight: &CudaWeight,
        gate: &CudaMatrix,
        up: &CudaMatrix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        let d_up = self.gpu.matrix(dy.rows, weight.columns)?;
        let operands = GemmArguments {
            first: gate.address(),
            second: up.address(),
            also: d_up.address(),
            kind: number(kind),
            ..GemmArguments::default()
        };
        let d_gate = self.backward(dy, weight, Epilogue::GateVjp, operands)?;
        Ok((d_gate, d_up))
    }

    fn linear_rope_impl(
        &self,
        x: &CudaMatrix,
        weight: &CudaWeight,
        bias: Option<&CudaMatrix>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<CudaMatrix> {
        // No tile contains whole heads of such sizes. The choice must not depend on the number of
        // rows, since the bits would.
        if !head_dim.is_power_of_two() || head_dim > Tile::Large.size().1 {
            let mut y = self.linear_impl(x, weight, bias, None)?;
            self.rope_impl(&mut y, head_dim, frequencies, positions, false)?;
            return Ok(y);
        }
        let turns = self.rotations(frequencies, positions)?;
        let operands = GemmArguments {
            turns: turns.address(),
            head_dim: self.number(head_dim)?,
            positions: self.number(positions.len())?,
            ..GemmArguments::default()
        };
        self.forward(x, weight, bias, Epilogue::Rope, operands)
    }
}
