// In place of MathJax where the site was built without npm: formulas stay as LaTeX.
