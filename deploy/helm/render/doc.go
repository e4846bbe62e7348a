// Package render holds tests only: they render the chart beside it with Helm's own engine, as `helm install` would, and
// read every manifest strictly into the types of the Kubernetes API. It is a module of its own because Helm brings
// hundreds of requirements that the worker must not have.
//
// Its invariant: testdata holds what the chart renders to for the values in ../refund-worker/ci, byte for byte, so that
// a change of the chart is reviewed as a change of manifests, and tests without Helm can read them.
package render
