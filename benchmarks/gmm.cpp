// The objective of examples/gmm.py and its gradient by hand, on one thread, for gamma 1 and m 0.
//
// Point by point, as one would write it: for each component the scaled difference q (x - mean), then the weights, then the
// sums. What does not depend on the point is added by the caller's constants and at the end.
#include <cmath>
#include <vector>

using std::vector;

namespace {

// Lower triangular factors, row by row: exponentials on the diagonal, the rest of icf column by column.
vector<double> factors(int d, int k, const double *icf) {
    vector<double> q(size_t(k) * d * d, 0.0);
    for (int c = 0; c < k; c++) {
        const double *own = icf + c * d * (d + 1) / 2;
        double *to = &q[size_t(c) * d * d];
        const double *rest = own + d;
        for (int j = 0; j < d; j++) {
            to[j * d + j] = std::exp(own[j]);
            for (int i = j + 1; i < d; i++) to[i * d + j] = *rest++;
        }
    }
    return q;
}

// The logarithm of a sum of exponentials; x becomes their shares of it.
double logsumexp(int n, double *x) {
    double most = x[0], sum = 0;
    for (int i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (int i = 0; i < n; i++) sum += x[i] = std::exp(x[i] - most);
    for (int i = 0; i < n; i++) x[i] /= sum;
    return std::log(sum) + most;
}

// The scaled difference of a point and half its square.
double scaled(int d, const double *q, const double *mean, const double *x, double *centered, double *y) {
    double half = 0;
    for (int j = 0; j < d; j++) centered[j] = x[j] - mean[j];
    for (int i = 0; i < d; i++) {
        double sum = 0;
        for (int j = 0; j <= i; j++) sum += q[i * d + j] * centered[j];
        y[i] = sum;
        half += 0.5 * sum * sum;
    }
    return half;
}

double constants(int n, int d, int k) {
    double gammas = d * (d - 1) / 4.0 * std::log(M_PI);
    for (int j = 0; j < d; j++) gammas += std::lgamma((d + 1 - j) / 2.0);
    return -n * d / 2.0 * std::log(2 * M_PI) + k * ((d + 1) * d * std::log(2.0) / 2 + gammas);
}

template <bool with_gradient>
double run(int n, int d, int k, const double *alphas, const double *means, const double *icf, const double *x,
           double *to_alphas, double *to_means, double *to_icf) {
    const int size = d * (d + 1) / 2;
    const vector<double> q = factors(d, k, icf);
    vector<double> terms(k), centered(size_t(k) * d), y(size_t(k) * d), offsets(k), sums(size_t(k) * d, 0.0);
    vector<double> to_q(with_gradient ? size_t(k) * d * d : 0, 0.0), shares(k, 0.0);
    for (int c = 0; c < k; c++) {
        offsets[c] = alphas[c];
        for (int j = 0; j < d; j++) offsets[c] += icf[c * size + j];
    }
    double value = constants(n, d, k);
    for (int p = 0; p < n; p++) {
        for (int c = 0; c < k; c++)
            terms[c] = offsets[c] - scaled(d, &q[size_t(c) * d * d], means + c * d, x + size_t(p) * d,
                                           &centered[size_t(c) * d], &y[size_t(c) * d]);
        value += logsumexp(k, terms.data());
        if (!with_gradient) continue;
        for (int c = 0; c < k; c++) {
            shares[c] += terms[c];
            for (int i = 0; i < d; i++) {
                const double delta = -terms[c] * y[c * d + i];
                sums[c * d + i] += delta;
                for (int j = 0; j <= i; j++) to_q[(size_t(c) * d + i) * d + j] += delta * centered[c * d + j];
            }
        }
    }
    vector<double> weights(alphas, alphas + k);
    value -= n * logsumexp(k, weights.data());
    for (double each : q) value += 0.5 * each * each;
    if (!with_gradient) return value;
    for (int c = 0; c < k; c++) {
        to_alphas[c] = shares[c] - n * weights[c];
        double *rest = to_icf + c * size + d;
        for (int j = 0; j < d; j++) {
            double sum = 0;
            for (int i = j; i < d; i++) {
                const double own = q[(size_t(c) * d + i) * d + j], whole = to_q[(size_t(c) * d + i) * d + j] + own;
                sum -= own * sums[c * d + i];
                if (i == j)
                    to_icf[c * size + j] = whole * own + shares[c];
                else
                    *rest++ = whole;
            }
            to_means[c * d + j] = sum;
        }
    }
    return value;
}

}  // namespace

extern "C" double objective(int n, int d, int k, const double *alphas, const double *means, const double *icf,
                            const double *x) {
    return run<false>(n, d, k, alphas, means, icf, x, nullptr, nullptr, nullptr);
}

extern "C" double gradient(int n, int d, int k, const double *alphas, const double *means, const double *icf,
                           const double *x, double *to_alphas, double *to_means, double *to_icf) {
    return run<true>(n, d, k, alphas, means, icf, x, to_alphas, to_means, to_icf);
}
