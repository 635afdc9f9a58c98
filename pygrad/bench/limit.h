/* limit.h: what limit.c offers; limit.py binds exactly this. Each function returns the value, and writes the
 * gradient by each input to where the pointer of the same name with a d before it says. Matrices are rows of
 * doubles. */

double expression(const double *a, const double *b, double *da, double *db);

/* n links x = x * w + b, one after the other. */
double chain(int n, const double *x, const double *w, const double *b, double *dx, double *dw, double *db);

/* The sum of n squares. */
double wide_sum(int n, const double *x, double *dx);

/* The sum of the squares of the n elements of W @ x, and the sum of the elements themselves. */
double dots(int n, const double *w, const double *x, double *dw, double *dx);
double matvec(int n, const double *w, const double *x, double *dw, double *dx);

/* A step of SGD on n points, of an MLP 2-16-16-1 with the parameters w1[2][16], b1, w2[16][16], b2, w3, b3: the
 * rows of the matrices are inputs, and the columns neurons. */
double moons(int n, const double *points, const double *labels, double rate, double *parameters,
             double *gradient);

/* A step of Adam, number `step` from 1, of n parameters. */
void adam(int n, double *parameters, const double *gradient, double *means, double *squares, double rate,
          int step);

/* A step of the GPT of workloads/gpt.py, on n tokens that are each to be followed by the next; n is at most 16.
 * Fills the gradient, which adam() then takes. */
double gpt(int n, const int *tokens, const double *parameters, double *gradient);

/* The mean of the Asian option's payoffs on n paths, and the same with the gradient by spot, rate and
 * volatilities. */
double asian_value(int n, int days, double strike, double spot, double rate, const double *vols,
                   const double *normals);
double asian(int n, int days, double strike, double spot, double rate, const double *vols,
             const double *normals, double *dspot, double *drate, double *dvols);
