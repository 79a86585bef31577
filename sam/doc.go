// Package sam turns the resources of a resolved AWS SAM or CloudFormation template into a casemate manifest, the one description of
// an app that is deployed: the manifest that comes out passes every check that one written by hand passes. Each resource and property
// ends up in one of four classes, and nothing is dropped in silence: it is honoured; it is ignored, because it has no meaning on a
// node of one's own (VPC, alarms, tracing); it is not served yet, and named; or it is refused, which stops the deploy: a security
// meaning that cannot be kept is never thrown away.
//
// What a template cannot say stands in Metadata under the key Casemate, of a resource or of the template: the manifest's own keys,
// laid over what was translated.
package sam
