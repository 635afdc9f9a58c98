/* limit.h: the functions of limit.c. limit.py binds exactly this header.
 *
 * Each function returns its value. It writes the gradient with respect to an input `x` to the pointer `dx`.
 * Matrices are stored row by row. The caller owns all arrays. */

double expression(const double *a, const double *b, double *da, double *db);

/* Applies x = x * w + b n times. */
double chain(int n, const double *x, const double *w, const double *b, double *dx, double *dw, double *db);

/* The sum of n squares. */
double wide_sum(int n, const double *x, double *dx);

/* The sum of the squares of the n elements of W @ x (dots), and the sum of the elements (matvec). */
double dots(int n, const double *w, const double *x, double *dw, double *dx);
double matvec(int n, const double *w, const double *x, double *dw, double *dx);

/* A step of SGD on n points for an MLP 2-16-16-1 with the parameters w1[2][16], b1, w2[16][16], b2, w3, b3. The
 * matrices have a row for each input and a column for each neuron. */
double moons(int n, const double *points, const double *labels, double rate, double *parameters,
             double *gradient);

/* A step of Adam for n parameters. `step` counts from 1. */
void adam(int n, double *parameters, const double *gradient, double *means, double *squares, double rate,
          int step);

/* The loss of the GPT of workloads/gpt.py on n + 1 tokens, and its gradient, which adam() takes. The GPT
 * predicts each token from those before it. n is at most 16. */
double gpt(int n, const int *tokens, const double *parameters, double *gradient);

/* The mean of the Asian option's discounted payoffs on n paths, without and with the gradient with respect to
 * spot, rate and volatilities. */
double asian_value(int n, int days, double strike, double spot, double rate, const double *vols,
                   const double *normals);
double asian(int n, int days, double strike, double spot, double rate, const double *vols,
             const double *normals, double *dspot, double *drate, double *dvols);

/* The mean of the discounted payoffs of workloads/basket.py on n paths. */
double basket_value(int n, double rate, const double *spots, const double *levels, const double *skews,
                    const double *matrix, const double *normals);
